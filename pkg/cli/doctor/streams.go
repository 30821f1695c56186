package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"

	"loft.sh/agent/pkg/cli/centre"
	"loft.sh/agent/pkg/cli/probe"
)

// nobody is a name that no namespace or pod has, so that a watch of it stays silent.
const nobody = "loft-doctor"

const upgradeAdvice = "a proxy in between does not pass Upgrade on: allow WebSocket and SPDY there (nginx: proxy_http_version 1.1 and the Upgrade and Connection headers)"

// watchPath is a watch that never has an event.
func (p *patient) watchPath(seconds int) string {
	return fmt.Sprintf("/kubernetes/cluster/api/v1/namespaces%s?watch=true&fieldSelector=metadata.name%%3D%s&timeoutSeconds=%d", inNamespace(p.Namespace), nobody, seconds)
}

// webSocket opens a watch over a WebSocket, which an API server offers for every resource.
func webSocket(ctx context.Context, p *patient) Finding {
	code, err := p.upgrade(ctx, http.MethodGet, p.watchPath(5), http.Header{
		"Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"bG9mdC1kb2N0b3ItbG9mdA=="},
		"Origin": {p.at.URL}, // an API server answers 403 without one
	})
	return judgeUpgrade("a WebSocket", "to watch "+where(p.Namespace), code, err)
}

// spdy opens a port-forward to some running pod, and forwards nothing.
func spdy(ctx context.Context, p *patient) Finding {
	path := "/kubernetes/cluster/api/v1/pods"
	if p.Namespace != "" {
		path = "/kubernetes/cluster/api/v1/namespaces" + inNamespace(p.Namespace)
	}
	answer, err := p.get(ctx, path+"?limit=1&fieldSelector=status.phase%3DRunning", p.token.Secret)
	if err != nil {
		return unreachable(err)
	}
	var pods corev1.PodList
	if answer.Code != http.StatusOK || json.Unmarshal(answer.Body, &pods) != nil || len(pods.Items) == 0 {
		return warning("not checked: that needs a running pod that you may see", "try another namespace with --namespace")
	}
	pod := pods.Items[0]
	code, err := p.upgrade(ctx, http.MethodPost, "/kubernetes/cluster/api/v1/namespaces/"+pod.Namespace+"/pods/"+pod.Name+"/portforward",
		http.Header{"Upgrade": {"SPDY/3.1"}, "X-Stream-Protocol-Version": {"portforward.k8s.io"}})
	return judgeUpgrade("SPDY", "to forward ports of "+pod.Namespace+"/"+pod.Name, code, err)
}

func judgeUpgrade(what, right string, code int, err error) Finding {
	switch {
	case err != nil:
		return failed(err.Error(), upgradeAdvice)
	case code == http.StatusSwitchingProtocols:
		return ok(what + " is opened")
	case code == http.StatusForbidden:
		return warning("not checked: you have no permission "+right, "try another namespace with --namespace")
	default:
		return failed(fmt.Sprintf("%s is not opened: the answer is %d", what, code), upgradeAdvice)
	}
}

// upgrade asks for another protocol, and ends the connection at once. An upgrade needs HTTP/1.1.
func (p *patient) upgrade(ctx context.Context, method, path string, header http.Header) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	client := probe.HTTPClient(p.at)
	transport := client.Transport.(*http.Transport)
	transport.Protocols = new(http.Protocols)
	transport.Protocols.SetHTTP1(true)
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, method, p.at.URL+path, http.NoBody)
	if err != nil {
		return 0, err
	}
	request.Header = header
	request.Header.Set("Connection", "Upgrade")
	request.Header.Set("Authorization", "Bearer "+p.token.Secret)
	request.Header.Set("User-Agent", centre.UserAgent())
	response, err := client.Do(request)
	if err != nil {
		return 0, &probe.Error{Err: err}
	}
	return response.StatusCode, response.Body.Close()
}

// idle keeps a silent watch open, which is what proxies with short time-outs cut.
func idle(ctx context.Context, p *patient) Finding {
	if p.Idle <= 0 {
		return warning("not checked, because of --idle=0", "")
	}
	start := time.Now()
	code, err := p.silence(ctx)
	switch {
	case ctx.Err() != nil:
		return warning("not checked to the end", "")
	case code == http.StatusForbidden:
		return warning("not checked: you have no permission to watch "+where(p.Namespace), "try another namespace with --namespace")
	case code != http.StatusOK && code != 0:
		return failed(fmt.Sprintf("a watch is answered with %d", code), "")
	case err != nil:
		return failed(fmt.Sprintf("a silent connection ended after %s: %v", since(start), err),
			"a proxy in between has a short time-out: raise it (nginx: proxy-read-timeout and proxy-send-timeout of 3600)")
	}
	return ok("a silent connection stays open for " + p.Idle.String())
}

// silence opens a watch and returns when it has said nothing for p.Idle, or has ended.
func (p *patient) silence(ctx context.Context) (code int, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.Idle+requestTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.at.URL+p.watchPath(int(p.Idle.Seconds())+60), http.NoBody)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Authorization", "Bearer "+p.token.Secret)
	request.Header.Set("User-Agent", centre.UserAgent())
	response, err := p.http.Do(request)
	if err != nil {
		return 0, &probe.Error{Err: err}
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return response.StatusCode, nil
	}
	return response.StatusCode, stays(response.Body, p.Idle)
}

// stays says why a stream ended before its time; nil: it did not.
func stays(stream io.Reader, d time.Duration) error {
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, stream)
		if err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errCut
		}
		ended <- err
	}()
	select {
	case err := <-ended:
		return err
	case <-time.After(d):
		return nil
	}
}
