package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/authentication/request/headerrequest"
	genericserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"loft.sh/agent/pkg/statuserr"
)

// The ConfigMap, in kube-system, in which an API server publishes whom its aggregated API servers
// are to trust.
const (
	authenticationConfigMap = "extension-apiserver-authentication"
	clientCAKey             = "client-ca-file"
	frontProxyCAKey         = "requestheader-client-ca-file"
	frontProxyPeriod        = time.Second
)

// frontProxy is what the inner listener trusts by certificate, read from the host cluster. Until it
// has been read no certificate and no front-proxy header means anything, and the agent is not
// ready. The generic options would not let the agent start while the API server is away.
type frontProxy struct {
	client kubernetes.Interface
	source *genericoptions.DynamicRequestHeaderController
	// clientCA is nil where a flag names the client CA.
	clientCA *dynamiccertificates.ConfigMapCAController

	// problem is why it has not been read yet; nil: it has.
	problem atomic.Pointer[error]
}

// applyAuthentication configures authentication on the inner listener. The result is nil where
// flags say all of it.
func applyAuthentication(o *genericoptions.DelegatingAuthenticationOptions, g *genericserver.Config) (*frontProxy, error) {
	if o.SkipInClusterLookup || o.RequestHeader.ClientCAFile != "" {
		return nil, o.ApplyTo(&g.Authentication, g.SecureServing, g.OpenAPIConfig)
	}
	f, err := newFrontProxy(o)
	if err != nil {
		return nil, err
	}
	config := authenticatorfactory.DelegatingAuthenticatorConfig{
		// Health checks come without a credential; authorization lets nothing else through.
		Anonymous:                &apiserver.AnonymousAuthConfig{Enabled: true},
		CacheTTL:                 o.CacheTTL,
		WebhookRetryBackoff:      o.WebhookRetryBackoff,
		TokenAccessReviewTimeout: o.TokenRequestTimeout,
		TokenAccessReviewClient:  f.client.AuthenticationV1(),
		RequestHeaderConfig: &authenticatorfactory.RequestHeaderConfig{
			CAContentProvider:   f.source,
			UsernameHeaders:     headerrequest.StringSliceProviderFunc(f.source.UsernameHeaders),
			UIDHeaders:          headerrequest.StringSliceProviderFunc(f.source.UIDHeaders),
			GroupHeaders:        headerrequest.StringSliceProviderFunc(f.source.GroupHeaders),
			ExtraHeaderPrefixes: headerrequest.StringSliceProviderFunc(f.source.ExtraHeaderPrefixes),
			AllowedClientNames:  headerrequest.StringSliceProviderFunc(f.source.AllowedClientNames),
		},
	}
	if f.clientCA != nil {
		config.ClientCertificateCAContentProvider = f.clientCA
	} else if config.ClientCertificateCAContentProvider, err = o.ClientCert.GetClientCAContentProvider(); err != nil {
		return nil, fmt.Errorf("--client-ca-file: %w", err)
	}
	// The listener asks for certificates of these CAs, and keeps both current.
	for _, ca := range []dynamiccertificates.CAContentProvider{config.ClientCertificateCAContentProvider, f.source} {
		if err := g.Authentication.ApplyClientCert(ca, g.SecureServing); err != nil {
			return nil, err
		}
	}
	g.Authentication.RequestHeaderConfig = config.RequestHeaderConfig
	if g.Authentication.Authenticator, _, err = config.New(); err != nil {
		return nil, err
	}
	if g.SecureServing == nil {
		return f, nil
	}
	g.SecureServing.ClientCA, err = newStandIn(g.SecureServing.ClientCA)
	return f, err
}

func newFrontProxy(o *genericoptions.DelegatingAuthenticationOptions) (*frontProxy, error) {
	hostConfig, err := clientcmd.BuildConfigFromFlags("", o.RemoteKubeConfigFile)
	if err != nil {
		return nil, fmt.Errorf("--authentication-kubeconfig: %w", err)
	}
	hostConfig.QPS = -1
	f := &frontProxy{source: &genericoptions.DynamicRequestHeaderController{}}
	if f.client, err = kubernetes.NewForConfig(hostConfig); err != nil {
		return nil, fmt.Errorf("--authentication-kubeconfig: %w", err)
	}
	if f.source.ConfigMapCAController, err = f.configMapCA("front-proxy", frontProxyCAKey); err != nil {
		return nil, err
	}
	f.source.RequestHeaderAuthRequestController = headerrequest.NewRequestHeaderAuthRequestController(
		authenticationConfigMap, metav1.NamespaceSystem, f.client,
		"requestheader-username-headers", "requestheader-uid-headers", "requestheader-group-headers",
		"requestheader-extra-headers-prefix", "requestheader-allowed-names")
	if o.ClientCert.ClientCA == "" {
		if f.clientCA, err = f.configMapCA("client-ca", clientCAKey); err != nil {
			return nil, err
		}
	}
	unread := errors.New("not read yet")
	f.problem.Store(&unread)
	return f, nil
}

func (f *frontProxy) configMapCA(purpose, key string) (*dynamiccertificates.ConfigMapCAController, error) {
	return dynamiccertificates.NewDynamicCAFromConfigMapController(
		purpose, metav1.NamespaceSystem, authenticationConfigMap, key, f.client)
}

// run asks until everything has been read; the listener keeps it current from then on.
func (f *frontProxy) run(ctx context.Context) {
	_ = wait.PollUntilContextCancel(ctx, frontProxyPeriod, true, func(ctx context.Context) (bool, error) {
		err := f.read(ctx)
		if err != nil {
			f.problem.Store(&err)
			return false, nil
		}
		f.problem.Store(nil)
		return true, nil
	})
}

// read says what is missing. A cluster without an aggregation layer publishes no front-proxy CA.
func (f *frontProxy) read(ctx context.Context) error {
	if err := f.source.RequestHeaderAuthRequestController.RunOnce(ctx); err != nil {
		return err
	}
	configMap, err := f.client.CoreV1().ConfigMaps(metav1.NamespaceSystem).Get(ctx, authenticationConfigMap, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if configMap.Data[frontProxyCAKey] != "" && f.source.CurrentCABundleContent() == nil {
		return errors.New("the front-proxy CA has not arrived yet")
	}
	if configMap.Data[clientCAKey] != "" && f.clientCA != nil && f.clientCA.CurrentCABundleContent() == nil {
		return errors.New("the client CA has not arrived yet")
	}
	return nil
}

// guard refuses who comes with a certificate while nobody can tell whether it is good: 401 would
// make clients of the aggregator throw away credentials that are.
func (f *frontProxy) guard(next http.Handler, refuse statuserr.Writer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.problem.Load() != nil && r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
			refuse(w, r, statuserr.Unavailable("client certificates cannot be checked at the moment", 1))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// check is a readiness check.
func (f *frontProxy) check(*http.Request) error {
	if problem := f.problem.Load(); problem != nil {
		return fmt.Errorf("ConfigMap %s/%s: %w", metav1.NamespaceSystem, authenticationConfigMap, *problem)
	}
	return nil
}
