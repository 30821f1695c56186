package connection

import (
	"net/url"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Validate says why data is no kubeconfig that leads to a cluster; nil: it is one. The error is an
// *Error, and repeats nothing of data.
func Validate(data []byte) error {
	_, err := parse("the kubeconfig", data)
	return err
}

// parse reads a kubeconfig; where says of which one its errors speak. They are *Error.
func parse(where string, data []byte) (*rest.Config, error) {
	if len(data) == 0 {
		return nil, &Error{ReasonKeyNotFound, where + " does not exist or is empty"}
	}
	invalid := func(problem string) (*rest.Config, error) {
		return nil, &Error{ReasonKubeconfigInvalid, where + " " + problem}
	}
	kubeconfig, err := clientcmd.Load(data)
	if err != nil {
		return invalid("is no kubeconfig: it cannot be parsed")
	}
	context, problem := currentContext(kubeconfig)
	if problem != "" {
		return invalid(problem)
	}
	cluster, user := kubeconfig.Clusters[context.Cluster], kubeconfig.AuthInfos[context.AuthInfo]
	if cluster == nil {
		return invalid("has a context whose cluster is not in it")
	}
	if user == nil {
		return invalid("has a context whose user is not in it")
	}
	if refused := refuse(cluster, user); refused != "" {
		return nil, &Error{ReasonKubeconfigRefused, where + " " + refused}
	}
	if problem := checkServer(cluster.Server); problem != "" {
		return invalid(problem)
	}
	// Neither the environment nor the manager's own account fills in what is missing.
	config, err := clientcmd.NewNonInteractiveClientConfig(
		clientcmdapi.Config{
			CurrentContext: "cluster", Contexts: map[string]*clientcmdapi.Context{"cluster": {Cluster: "cluster", AuthInfo: "user"}},
			Clusters: map[string]*clientcmdapi.Cluster{"cluster": cluster}, AuthInfos: map[string]*clientcmdapi.AuthInfo{"user": user},
		}, "cluster", &clientcmd.ConfigOverrides{}, nil).ClientConfig()
	if err != nil {
		return invalid("contradicts itself or lacks something; kubectl --kubeconfig says what")
	}
	// Bad certificates and keys show here, and not when the first request is made.
	if _, err := rest.TransportFor(config); err != nil {
		return invalid("has a CA, a client certificate or a key that cannot be used")
	}
	config.UserAgent = "loft-manager"
	config.QPS = -1
	return config, nil
}

// currentContext returns the context that counts: the current one, or the only one.
func currentContext(kubeconfig *clientcmdapi.Config) (found *clientcmdapi.Context, problem string) {
	if kubeconfig.CurrentContext != "" {
		if found = kubeconfig.Contexts[kubeconfig.CurrentContext]; found == nil {
			return nil, "has a current-context that is not in it"
		}
		return found, ""
	}
	if len(kubeconfig.Contexts) != 1 {
		return nil, "has no current-context, and not exactly one context either"
	}
	for _, found = range kubeconfig.Contexts {
	}
	return found, ""
}

// refuse says what a kubeconfig must not ask of the manager.
func refuse(cluster *clientcmdapi.Cluster, user *clientcmdapi.AuthInfo) string {
	switch {
	case user.Exec != nil:
		return "has an exec plugin, and the manager runs none; use a token or a client certificate"
	case user.AuthProvider != nil:
		return "has an auth provider, and the manager knows none; use a token or a client certificate"
	case cluster.CertificateAuthority != "" || user.ClientCertificate != "" || user.ClientKey != "" || user.TokenFile != "":
		return "names files, which the manager does not have; put their content into it: kubectl config view --raw --flatten"
	case user.Impersonate != "" || user.ImpersonateUID != "" || len(user.ImpersonateGroups) > 0 || len(user.ImpersonateUserExtra) > 0:
		return "impersonates somebody; use that account's own credential"
	}
	return ""
}

// checkServer wants HTTPS: the credential opens the whole cluster.
func checkServer(server string) string {
	u, err := url.Parse(server)
	switch {
	case server == "":
		return "has a cluster without server"
	case err != nil || u.Scheme != "https" || u.Host == "":
		return "has a cluster whose server is no https:// URL"
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return "has a cluster whose server has a user, a query or a fragment"
	}
	return ""
}
