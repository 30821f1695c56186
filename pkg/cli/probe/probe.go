// Package probe asks a direct endpoint, before a kubeconfig points at it, what kubectl will ask.
//
// The one request brings the cluster's own token, so its answer tells more than health does: an agent
// of another cluster refuses the token, since it is for another audience.
package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"loft.sh/agent/pkg/cli/network"
	"loft.sh/agent/pkg/endpoint"
)

// Timeout is how long an endpoint has to answer.
const Timeout = 2 * time.Second

// HTTPClient reaches an endpoint as kubectl will: over the proxies of the environment, with the
// endpoint's CA. It follows no redirect, since kubectl would lose its token on the way.
func HTTPClient(e *endpoint.Endpoint) *http.Client {
	config := &tls.Config{InsecureSkipVerify: e.Insecure, MinVersion: tls.VersionTLS12}
	if len(e.CAData) > 0 {
		config.RootCAs = x509.NewCertPool()
		config.RootCAs.AppendCertsFromPEM(e.CAData)
	}
	return &http.Client{
		Transport:     &http.Transport{TLSClientConfig: config, Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Endpoint says why kubectl could not work at the endpoint with token; nil: it can. It waits for
// Timeout at most.
func Endpoint(ctx context.Context, e *endpoint.Endpoint, token, userAgent string) error {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	client := HTTPClient(e)
	defer client.CloseIdleConnections()
	answer, err := Get(ctx, client, e.URL+"/kubernetes/cluster/version", token, userAgent)
	if err != nil {
		return err
	}
	return Judge(answer)
}

// Answer is what a server said.
type Answer struct {
	// Code and Status are those of HTTP, such as 200 and "200 OK".
	Code   int
	Status string
	// Header and Body are the rest; a body of more than a megabyte is cut.
	Header http.Header
	Body   []byte
	// TLS is the connection's; nil: it had none.
	TLS *tls.ConnectionState
}

// Get makes a request. Its error is in words.
func Get(ctx context.Context, client *http.Client, url, token, userAgent string) (*Answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", userAgent)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, &Error{Err: err}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return nil, &Error{Err: err}
	}
	return &Answer{Code: response.StatusCode, Status: response.Status, Header: response.Header, Body: body, TLS: response.TLS}, nil
}

// Error is what kept a request from being answered.
type Error struct{ Err error }

// Error says it in words.
func (e *Error) Error() string {
	_, text := network.Explain(e.Err)
	return text
}

// Unwrap returns what lies beneath.
func (e *Error) Unwrap() error { return e.Err }

// Judge says why an answer to the question for the version, asked with the cluster's token, is not
// that of the cluster; nil: it is. Permissions are none of its business: a cluster that knows the
// person and refuses the request is the right one.
func Judge(a *Answer) error {
	var version struct{ GitVersion string }
	var status metav1.Status
	isStatus := json.Unmarshal(a.Body, &status) == nil && status.Kind == "Status"
	switch code := a.Code; {
	case code == http.StatusOK && json.Unmarshal(a.Body, &version) == nil && version.GitVersion != "":
		return nil
	case code == http.StatusUnauthorized:
		return errors.New("another cluster is behind it, or one that does not trust the manager's keys: it refused the cluster's token")
	case code == http.StatusForbidden && isStatus:
		return nil
	case isStatus:
		return fmt.Errorf("the agent cannot serve (%d): %s", code, status.Message)
	case code >= http.StatusMultipleChoices && code < http.StatusBadRequest:
		return fmt.Errorf("something else answers there: it redirects to %s", a.Header.Get("Location"))
	}
	return fmt.Errorf("something else answers there: %s", a.Status)
}
