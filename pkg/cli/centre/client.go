// Package centre is the manager as the command line sees it: the few requests that it makes of it,
// and its refusals in words that say what to run.
//
// Requests are those of 2.x clients, so that either client works with either manager; what is asked
// beyond them is left out by a manager that does not know it.
package centre

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/component-base/version"

	managementv1 "loft.sh/agent/apis/management/v1"
	storagev1 "loft.sh/agent/apis/storage/v1"
	managementclient "loft.sh/agent/generated/clientset/versioned/typed/management/v1"
	"loft.sh/agent/pkg/cli/session"
)

// timeout bounds each request, however far away the manager is.
const timeout = 15 * time.Second

// Client asks a manager.
type Client struct {
	login      session.Session
	http       *http.Client
	management managementclient.ManagementV1Interface
}

// UserAgent names this program to servers, as 2.x clients do.
func UserAgent() string { return "loftctl/" + version.Get().GitVersion }

// RESTConfig reaches what lies below path at the manager of login, such as "/kubernetes/management".
func RESTConfig(login session.Session, path string) *rest.Config {
	return &rest.Config{
		Host:        login.Host + path,
		BearerToken: login.AccessKey,
		UserAgent:   UserAgent(),
		Timeout:     timeout,
		QPS:         -1, // a command makes a handful of requests
		TLSClientConfig: rest.TLSClientConfig{
			Insecure: login.Insecure && strings.HasPrefix(login.Host, "https://"),
			CAData:   login.CAData,
		},
	}
}

// New returns a client for the manager of login.
func New(login session.Session) (*Client, error) {
	config := RESTConfig(login, "/kubernetes/management")
	httpClient, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("client for %s: %w", login.Host, err)
	}
	management, err := managementclient.NewForConfigAndClient(config, httpClient)
	if err != nil {
		return nil, fmt.Errorf("client for %s: %w", login.Host, err)
	}
	return &Client{login: login, http: httpClient, management: management}, nil
}

// Host is the manager's URL.
func (c *Client) Host() string { return c.login.Host }

// leastMajor is the oldest generation of managers that this client knows how to ask.
const leastMajor = 2

// CheckVersion asks the manager for its version, which needs no key, and says where it is none that
// this client can use, or no manager at all. It returns the version and the answer's header.
func (c *Client) CheckVersion(ctx context.Context) (string, http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.login.Host+"/version", http.NoBody)
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", c.login.Host, err)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return "", nil, c.explain(err)
	}
	defer response.Body.Close()
	var answer struct{ Version, GitVersion, Major string }
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return "", nil, c.explain(err)
	}
	if response.StatusCode == http.StatusUnauthorized { // the key is sent here, too
		return "", nil, refusedKey(c.login)
	}
	if response.StatusCode != http.StatusOK || json.Unmarshal(body, &answer) != nil || answer.Major == "" {
		return "", nil, fmt.Errorf("%s does not answer as a manager does (GET /version: %s): is the URL right?", c.login.Host, response.Status)
	}
	if answer.Version == "" {
		answer.Version = answer.GitVersion
	}
	if major, err := strconv.Atoi(answer.Major); err == nil && major < leastMajor {
		return "", nil, fmt.Errorf("%s is of version %s, but this client needs %d or later: upgrade the manager", c.login.Host, answer.Version, leastMajor)
	}
	return answer.Version, response.Header, nil
}

// Self asks who the key stands for.
func (c *Client) Self(ctx context.Context) (*managementv1.Self, error) {
	self, err := c.management.Selves().Create(ctx, &managementv1.Self{}, metav1.CreateOptions{})
	if err != nil {
		return nil, c.explain(err)
	}
	return self, nil
}

// NewLoginKey has the manager make an access key for whoever the client's credential stands for.
func (c *Client) NewLoginKey(ctx context.Context) (string, error) {
	hostname, _ := os.Hostname()
	key, err := c.management.OwnedAccessKeys().Create(ctx, &managementv1.OwnedAccessKey{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "loft-cli-"},
		Spec:       managementv1.OwnedAccessKeySpec{DisplayName: "loft on " + hostname, Type: storagev1.AccessKeyTypeLogin},
	}, metav1.CreateOptions{})
	if err != nil {
		return "", c.explain(err)
	}
	if key.Spec.Key == "" {
		return "", fmt.Errorf("%s made an access key but did not say it", c.login.Host)
	}
	return key.Spec.Key, nil
}

// DeleteLoginKey has the manager delete the client's own key, if a login made it.
func (c *Client) DeleteLoginKey(ctx context.Context) error {
	self, err := c.Self(ctx)
	if err != nil {
		return err
	}
	if self.Status.AccessKey == "" || self.Status.AccessKeyType != storagev1.AccessKeyTypeLogin {
		return nil
	}
	if err := c.management.OwnedAccessKeys().Delete(ctx, self.Status.AccessKey, metav1.DeleteOptions{}); err != nil {
		return c.explain(err)
	}
	return nil
}

// Clusters lists the clusters that the person may use.
func (c *Client) Clusters(ctx context.Context) (*managementv1.ClusterList, error) {
	clusters, err := c.management.Clusters().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, c.explain(err)
	}
	return clusters, nil
}

// Teams lists the teams that the person may see.
func (c *Client) Teams(ctx context.Context) (*managementv1.TeamList, error) {
	teams, err := c.management.Teams().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, c.explain(err)
	}
	return teams, nil
}

// Token asks for a direct endpoint token for cluster.
func (c *Client) Token(ctx context.Context, cluster string) (session.Token, error) {
	var spec managementv1.DirectClusterEndpointTokenSpec
	if cluster != "" {
		spec.Scope = &storagev1.AccessScope{Clusters: []storagev1.AccessScopeCluster{{Cluster: cluster}}}
	}
	asked := time.Now()
	answer, err := c.management.DirectClusterEndpointTokens().Create(ctx, &managementv1.DirectClusterEndpointToken{Spec: spec}, metav1.CreateOptions{})
	if err != nil {
		return session.Token{}, c.explain(err)
	}
	if answer.Status.Token == "" {
		return session.Token{}, fmt.Errorf("%s issued an empty token: is direct access switched off there?", c.login.Host)
	}
	var expires time.Time
	if answer.Status.ExpirationTimestamp != nil {
		expires = answer.Status.ExpirationTimestamp.Time
	}
	return session.NewToken(answer.Status.Token, asked, expires), nil
}
