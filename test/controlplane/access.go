package controlplane

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// URL returns where the API server listens.
func (c *ControlPlane) URL() string { return httpsURL(c.ports.apiServer) }

// AdminKubeconfig returns the path of a kubeconfig of a cluster administrator.
func (c *ControlPlane) AdminKubeconfig() string { return filepath.Join(c.opts.Dir, "admin.kubeconfig") }

// RESTConfig returns a client configuration of a cluster administrator without rate limit.
func (c *ControlPlane) RESTConfig() *rest.Config { return c.restConfig(c.admin) }

// UserConfig returns a client configuration with a client certificate of a user.
func (c *ControlPlane) UserConfig(user string, groups ...string) (*rest.Config, error) {
	pair, err := c.pki.cluster.IssueClient(user, groups...)
	if err != nil {
		return nil, err
	}
	return c.restConfig(pair), nil
}

// TokenConfig returns a client configuration with a bearer token.
func (c *ControlPlane) TokenConfig(token string) *rest.Config {
	config := c.restConfig(KeyPair{})
	config.BearerToken = token
	return config
}

func (c *ControlPlane) restConfig(pair KeyPair) *rest.Config {
	return &rest.Config{
		Host:            c.URL(),
		TLSClientConfig: rest.TLSClientConfig{CAData: c.CAData(), CertData: pair.Cert, KeyData: pair.Key},
		QPS:             -1,
	}
}

// CAFile returns the path of the authority that signed the API server's certificate and that
// signs client certificates.
func (c *ControlPlane) CAFile() string { return c.pki.path("ca.crt") }

// CAData returns the content of CAFile.
func (c *ControlPlane) CAData() []byte { return c.pki.cluster.CertPEM() }

// FrontProxyCAFile returns the path of the authority of the aggregator's client certificate.
func (c *ControlPlane) FrontProxyCAFile() string { return c.pki.path("front-proxy-ca.crt") }

// ClientCA returns the authority whose client certificates the API server trusts.
func (c *ControlPlane) ClientCA() *CA { return c.pki.cluster }

// FrontProxyCA returns the authority whose certificate named front-proxy-client may
// speak for others with X-Remote-* headers.
func (c *ControlPlane) FrontProxyCA() *CA { return c.pki.frontProxy }

// IssueClientCert makes a client certificate of a user, PEM encoded.
func (c *ControlPlane) IssueClientCert(user string, groups []string) (cert, key []byte, err error) {
	pair, err := c.pki.cluster.IssueClient(user, groups...)
	return pair.Cert, pair.Key, err
}

// ServiceAccountToken asks the API server for a token of an existing service account. It
// grants no less than ten minutes; ttl 0 means its default of an hour.
func (c *ControlPlane) ServiceAccountToken(ctx context.Context, namespace, name string, ttl time.Duration) (string, error) {
	hostClient, err := kubernetes.NewForConfig(c.RESTConfig())
	if err != nil {
		return "", fmt.Errorf("make admin client: %w", err)
	}
	request := &authenticationv1.TokenRequest{}
	if ttl != 0 {
		seconds := int64(ttl / time.Second)
		request.Spec.ExpirationSeconds = &seconds
	}
	answer, err := hostClient.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name, request, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("request token of service account %s/%s: %w", namespace, name, err)
	}
	return answer.Status.Token, nil
}
