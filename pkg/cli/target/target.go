// Package target is the cluster of a kube context, into which a command installs something: the
// account by which a manager enters, or the manager itself.
//
// What surprises: the kubeconfig that is made for the manager holds nothing of the person's own. A
// context whose API server is known by files or through a proxy of this machine is made to stand by
// itself, or refused.
package target

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"loft.sh/agent/pkg/cli/failure"
)

// fieldManager owns what a person's command applies.
const fieldManager = "loft-cli"

// Cluster is where a kube context leads.
type Cluster struct {
	// Context is the name of the kube context.
	Context string
	config  *rest.Config
	core    corev1client.CoreV1Interface
	dynamic dynamic.Interface
	mapper  meta.RESTMapper
}

// Open returns the cluster of a context of the kubeconfig; empty: the current one.
func Open(kubeconfigPath, kubeContext, userAgent string) (*Cluster, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfigPath
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: kubeContext})
	raw, err := loader.RawConfig()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	c := &Cluster{Context: kubeContext}
	if c.Context == "" {
		c.Context = raw.CurrentContext
	}
	if raw.Contexts[c.Context] == nil {
		return nil, noContext(c.Context, raw.Contexts)
	}
	if c.config, err = loader.ClientConfig(); err != nil {
		return nil, fmt.Errorf("kube context %s: %w", c.Context, err)
	}
	c.config.UserAgent, c.config.QPS = userAgent, -1
	return c, c.connect()
}

func noContext(name string, contexts map[string]*clientcmdapi.Context) error {
	if name == "" {
		return failure.Usagef("there is no current kube context: name one with --context")
	}
	var names []string
	for other := range contexts {
		names = append(names, other)
	}
	return failure.Usagef("the kube context %q does not exist%s", name, failure.DidYouMean(name, "contexts", names))
}

func (c *Cluster) connect() (err error) {
	httpClient, err := rest.HTTPClientFor(c.config)
	if err != nil {
		return fmt.Errorf("kube context %s: %w", c.Context, err)
	}
	if c.core, err = corev1client.NewForConfigAndClient(c.config, httpClient); err != nil {
		return fmt.Errorf("kube context %s: %w", c.Context, err)
	}
	if c.dynamic, err = dynamic.NewForConfigAndClient(c.config, httpClient); err != nil {
		return fmt.Errorf("kube context %s: %w", c.Context, err)
	}
	discover, err := discovery.NewDiscoveryClientForConfigAndClient(c.config, httpClient)
	if err != nil {
		return fmt.Errorf("kube context %s: %w", c.Context, err)
	}
	c.mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(discover))
	return nil
}

// UID is what tells the cluster from every other.
func (c *Cluster) UID(ctx context.Context) (string, error) {
	namespace, err := c.core.Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("kube context %s: %w", c.Context, err)
	}
	return string(namespace.UID), nil
}

// Secret reads a Secret.
func (c *Cluster) Secret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	secret, err := c.core.Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("kube context %s: %w", c.Context, err)
	}
	return secret, nil
}

// Check says what keeps objects from being applied, without applying any. Objects in a namespace that
// is not there yet are not tried.
func (c *Cluster) Check(ctx context.Context, objects []*unstructured.Unstructured) error {
	var errs []error
	for _, object := range objects {
		if object.GetNamespace() == "" {
			errs = append(errs, c.apply(ctx, object, metav1.DryRunAll))
		}
	}
	return errors.Join(errs...)
}

// Apply applies objects in their order, and takes over fields that others have set.
func (c *Cluster) Apply(ctx context.Context, objects []*unstructured.Unstructured) error {
	for _, object := range objects {
		if err := c.apply(ctx, object); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) apply(ctx context.Context, object *unstructured.Unstructured, dryRun ...string) error {
	kind := object.GroupVersionKind()
	mapping, err := c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if meta.IsNoMatchError(err) { // a kind that was made a moment ago
		meta.MaybeResetRESTMapper(c.mapper)
		mapping, err = c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", kind.Kind, object.GetName(), err)
	}
	var client dynamic.ResourceInterface = c.dynamic.Resource(mapping.Resource)
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		client = c.dynamic.Resource(mapping.Resource).Namespace(object.GetNamespace())
	}
	options := metav1.ApplyOptions{FieldManager: fieldManager, Force: true, DryRun: dryRun}
	if _, err := client.Apply(ctx, object.GetName(), object, options); err != nil {
		return fmt.Errorf("%s %s: %w", kind.Kind, object.GetName(), err)
	}
	return nil
}

// Server is the URL of the API server, and whether it can only be meant for this machine.
func (c *Cluster) Server() (server string, local bool) {
	u, err := url.Parse(c.config.Host)
	if err != nil {
		return c.config.Host, false
	}
	ip := net.ParseIP(u.Hostname())
	return c.config.Host, u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// KubeconfigFor is a kubeconfig for the cluster with a token, at another URL if server is not empty.
func (c *Cluster) KubeconfigFor(token, server string) ([]byte, error) {
	ca := c.config.CAData
	if len(ca) == 0 && c.config.CAFile != "" {
		var err error
		if ca, err = os.ReadFile(c.config.CAFile); err != nil {
			return nil, fmt.Errorf("kube context %s: CA: %w", c.Context, err)
		}
	}
	if server == "" {
		server = c.config.Host
	}
	cluster := clientcmdapi.NewCluster()
	cluster.Server, cluster.CertificateAuthorityData = server, ca
	cluster.InsecureSkipTLSVerify, cluster.TLSServerName = c.config.Insecure, c.config.ServerName
	user := clientcmdapi.NewAuthInfo()
	user.Token = token
	context := clientcmdapi.NewContext()
	context.Cluster, context.AuthInfo = "cluster", "manager"
	config := clientcmdapi.NewConfig()
	config.Clusters["cluster"], config.AuthInfos["manager"], config.Contexts["manager"] = cluster, user, context
	config.CurrentContext = "manager"
	data, err := clientcmd.Write(*config)
	if err != nil {
		return nil, fmt.Errorf("encode the manager's kubeconfig: %w", err)
	}
	return data, nil
}
