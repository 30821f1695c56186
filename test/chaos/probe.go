package chaos

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"

	"loft.sh/agent/test/sandbox"
)

// Readyz is the agent's readiness, check by check, and whether it is ready.
func (e *Env) Readyz(ctx context.Context, agent *sandbox.Replica) (ready bool, body string) {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		TLSClientConfig: e.EndpointTLS(), DisableKeepAlives: true,
	}}
	body, err := fetch(ctx, client, agent.EndpointURL()+"/readyz?verbose")
	if err != nil {
		return false, err.Error()
	}
	return true, body
}

// EndpointTLS trusts the endpoints of this cluster's agents.
func (e *Env) EndpointTLS() *tls.Config {
	return &tls.Config{RootCAs: e.Sandbox().EndpointAuthority().Pool()}
}

// ClientConfig is a client's configuration for the cluster through an agent.
func (e *Env) ClientConfig(agent *sandbox.Replica, token string) *rest.Config {
	return &rest.Config{
		Host: agent.EndpointURL() + "/kubernetes/cluster", BearerToken: token,
		TLSClientConfig: rest.TLSClientConfig{CAFile: e.Sandbox().EndpointCA()}, QPS: -1,
	}
}

// Namespace makes a namespace that goes with the row.
func (e *Env) Namespace(ctx context.Context) (string, error) {
	namespaces := e.Admin().CoreV1().Namespaces()
	made, err := namespaces.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "chaos-"}}, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("namespace: %w", err)
	}
	e.Defer(func() error {
		return namespaces.Delete(context.WithoutCancel(ctx), made.Name, metav1.DeleteOptions{})
	})
	// What the controllers put there must not count as a change later.
	_, err = Await(ctx, "service account of the namespace", time.Minute, func(ctx context.Context) bool {
		_, accountErr := e.Admin().CoreV1().ServiceAccounts(made.Name).Get(ctx, "default", metav1.GetOptions{})
		_, mapErr := e.Admin().CoreV1().ConfigMaps(made.Name).Get(ctx, "kube-root-ca.crt", metav1.GetOptions{})
		return accountErr == nil && mapErr == nil
	})
	return made.Name, err
}

// Await waits until a condition is met, and says how long that took.
func Await(ctx context.Context, what string, bound time.Duration, met func(context.Context) bool) (time.Duration, error) {
	began := time.Now()
	err := wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, bound, true,
		func(ctx context.Context) (bool, error) { return met(ctx), nil })
	if err != nil {
		return time.Since(began), fmt.Errorf("wait for %s: %w", what, err)
	}
	return time.Since(began), nil
}

// Sleep waits, or returns early when ctx is done.
func Sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// fetch returns the body of an answer, which is an error unless it is 200.
func fetch(ctx context.Context, client *http.Client, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return "", fmt.Errorf("GET %s: %w", url, err)
	}
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("GET %s: %s\n%s", url, res.Status, body)
	}
	return string(body), nil
}
