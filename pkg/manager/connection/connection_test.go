package connection

import (
	"context"
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	storagev1 "loft.sh/agent/apis/storage/v1"
)

// secretToken must never be seen.
const secretToken = "t0p-secret"

func kubeconfig(change func(*clientcmdapi.Config)) []byte {
	config := clientcmdapi.Config{
		CurrentContext: "c",
		Contexts:       map[string]*clientcmdapi.Context{"c": {Cluster: "c", AuthInfo: "u"}},
		Clusters:       map[string]*clientcmdapi.Cluster{"c": {Server: "https://api.example.com:6443"}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"u": {Token: secretToken}},
	}
	if change != nil {
		change(&config)
	}
	data, err := clientcmd.Write(config)
	if err != nil {
		panic(err)
	}
	return data
}

// secrets answers with what it holds, by namespace and name.
func secrets(held map[string]*corev1.Secret) SecretGetter {
	return func(_ context.Context, namespace, name string) (*corev1.Secret, error) {
		if secret := held[namespace+"/"+name]; secret != nil {
			return secret, nil
		}
		return nil, apierrors.NewNotFound(corev1.Resource("secrets"), name)
	}
}

func secret(version, key string, data []byte) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{ResourceVersion: version}, Data: map[string][]byte{key: data}}
}

func named(ref storagev1.SecretRef) *storagev1.Cluster {
	return &storagev1.Cluster{Spec: storagev1.ClusterSpec{Config: ref}}
}

func TestBadKubeconfigs(t *testing.T) {
	user := func(change func(*clientcmdapi.AuthInfo)) []byte {
		return kubeconfig(func(c *clientcmdapi.Config) { change(c.AuthInfos["u"]) })
	}
	server := func(url string) []byte {
		return kubeconfig(func(c *clientcmdapi.Config) { c.Clusters["c"].Server = url })
	}
	for _, tt := range []struct {
		name       string
		data       []byte
		wantReason string
	}{
		{"good", kubeconfig(nil), ""},
		{"only context", kubeconfig(func(c *clientcmdapi.Config) { c.CurrentContext = "" }), ""},
		{"empty", nil, ReasonKeyNotFound},
		{"not YAML", []byte("\tx: " + secretToken), ReasonKubeconfigInvalid},
		{"a list", []byte("- " + secretToken), ReasonKubeconfigInvalid},
		{"a Secret", []byte("kind: Secret\napiVersion: v1\ndata: {a: " + secretToken + "}"), ReasonKubeconfigInvalid},
		{"no contexts", kubeconfig(func(c *clientcmdapi.Config) { c.CurrentContext, c.Contexts = "", nil }), ReasonKubeconfigInvalid},
		{"other context", kubeconfig(func(c *clientcmdapi.Config) { c.CurrentContext = "x" }), ReasonKubeconfigInvalid},
		{"no cluster", kubeconfig(func(c *clientcmdapi.Config) { c.Clusters = nil }), ReasonKubeconfigInvalid},
		{"no user", kubeconfig(func(c *clientcmdapi.Config) { c.AuthInfos = nil }), ReasonKubeconfigInvalid},
		{"no server", server(""), ReasonKubeconfigInvalid},
		{"http", server("http://api.example.com"), ReasonKubeconfigInvalid},
		{"no scheme", server("api.example.com:6443"), ReasonKubeconfigInvalid},
		{"password in the URL", server("https://me:" + secretToken + "@api.example.com"), ReasonKubeconfigInvalid},
		{"bad URL with password", server("https://me:" + secretToken + "@%zz"), ReasonKubeconfigInvalid},
		{"bad CA", kubeconfig(func(c *clientcmdapi.Config) { c.Clusters["c"].CertificateAuthorityData = []byte(secretToken) }), ReasonKubeconfigInvalid},
		{"CA and insecure", kubeconfig(func(c *clientcmdapi.Config) {
			c.Clusters["c"].CertificateAuthorityData, c.Clusters["c"].InsecureSkipTLSVerify = []byte("x"), true
		}), ReasonKubeconfigInvalid},
		{"certificate without key", user(func(u *clientcmdapi.AuthInfo) { u.ClientCertificateData = []byte("x") }), ReasonKubeconfigInvalid},
		{"exec plugin", user(func(u *clientcmdapi.AuthInfo) {
			u.Exec = &clientcmdapi.ExecConfig{Command: "sh", APIVersion: "client.authentication.k8s.io/v1", InteractiveMode: "Never"}
		}), ReasonKubeconfigRefused},
		{"auth provider", user(func(u *clientcmdapi.AuthInfo) { u.AuthProvider = &clientcmdapi.AuthProviderConfig{Name: "oidc"} }), ReasonKubeconfigRefused},
		{"token file", user(func(u *clientcmdapi.AuthInfo) { u.TokenFile = "/etc/passwd" }), ReasonKubeconfigRefused},
		{"certificate file", user(func(u *clientcmdapi.AuthInfo) { u.ClientCertificate = "/c" }), ReasonKubeconfigRefused},
		{"key file", user(func(u *clientcmdapi.AuthInfo) { u.ClientKey = "/k" }), ReasonKubeconfigRefused},
		{"CA file", kubeconfig(func(c *clientcmdapi.Config) { c.Clusters["c"].CertificateAuthority = "/ca" }), ReasonKubeconfigRefused},
		{"impersonation", user(func(u *clientcmdapi.AuthInfo) { u.Impersonate = "admin" }), ReasonKubeconfigRefused},
	} {
		t.Run(tt.name, func(t *testing.T) {
			connections := New(secrets(map[string]*corev1.Secret{"loft/kube": secret("1", "config", tt.data)}), "loft")
			config, err := connections.Config(t.Context(), named(storagev1.SecretRef{SecretName: "kube"}))
			if got := reason(err); got != tt.wantReason || (config == nil) != (tt.wantReason != "") {
				t.Fatalf("config %t, error %q (%v), want %q", config != nil, got, err, tt.wantReason)
			}
			if err != nil && (strings.Contains(err.Error(), secretToken) || !strings.Contains(err.Error(), "loft/kube")) {
				t.Errorf("message %q, want one that names the Secret and nothing of its content", err)
			}
		})
	}
}

func reason(err error) string {
	var connectionError *Error
	if errors.As(err, &connectionError) {
		return connectionError.Reason
	}
	return ""
}

func TestConfig(t *testing.T) {
	connections := New(secrets(map[string]*corev1.Secret{"loft/kube": secret("1", "config", kubeconfig(nil))}), "loft")
	config, err := connections.Config(t.Context(), named(storagev1.SecretRef{SecretName: "kube"}))
	if err != nil {
		t.Fatal(err)
	}
	if config.Host != "https://api.example.com:6443" || config.BearerToken != secretToken || config.QPS >= 0 {
		t.Errorf("host %q, QPS %v", config.Host, config.QPS)
	}
}

func TestWhereTheKubeconfigLies(t *testing.T) {
	held := map[string]*corev1.Secret{
		"loft/kube":  secret("1", "config", kubeconfig(nil)),
		"other/kube": secret("1", "value", kubeconfig(nil)),
	}
	for _, tt := range []struct {
		name       string
		ref        storagev1.SecretRef
		wantReason string
	}{
		{"name alone", storagev1.SecretRef{SecretName: "kube"}, ""},
		{"everything", storagev1.SecretRef{SecretName: "kube", SecretNamespace: "other", Key: "value"}, ""},
		{"nothing", storagev1.SecretRef{}, ReasonNoSecret},
		{"other key", storagev1.SecretRef{SecretName: "kube", Key: "value"}, ReasonKeyNotFound},
		{"other name", storagev1.SecretRef{SecretName: "cube"}, ReasonSecretNotFound},
		{"other namespace", storagev1.SecretRef{SecretName: "kube", SecretNamespace: "default"}, ReasonSecretNotFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := New(secrets(held), "loft").Config(t.Context(), named(tt.ref))
			if got := reason(err); got != tt.wantReason {
				t.Errorf("error %q (%v), want %q", got, err, tt.wantReason)
			}
		})
	}
}

func TestSecretThatMayNotBeRead(t *testing.T) {
	forbidden := func(context.Context, string, string) (*corev1.Secret, error) {
		return nil, apierrors.NewForbidden(corev1.Resource("secrets"), "kube", errors.New("no rule"))
	}
	_, err := New(forbidden, "loft").Config(t.Context(), named(storagev1.SecretRef{SecretName: "kube"}))
	if got := reason(err); got != ReasonSecretUnreadable {
		t.Errorf("error %q (%v)", got, err)
	}
}

// TestConfigLastsAsLongAsTheSecret compares pointers: by them others keep their transports.
func TestConfigLastsAsLongAsTheSecret(t *testing.T) {
	held := map[string]*corev1.Secret{"loft/kube": secret("1", "config", kubeconfig(nil))}
	connections, cluster := New(secrets(held), "loft"), named(storagev1.SecretRef{SecretName: "kube"})
	first, err := connections.Config(t.Context(), cluster)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := connections.Config(t.Context(), cluster); again != first {
		t.Error("another configuration from the same Secret")
	}
	held["loft/kube"] = secret("2", "config", []byte("{"))
	if changed, err := connections.Config(t.Context(), cluster); err == nil {
		t.Errorf("a broken Secret leaves the old configuration in use: %v", changed.Host)
	}
	held["loft/kube"] = secret("3", "config", kubeconfig(nil))
	if changed, _ := connections.Config(t.Context(), cluster); changed == nil || changed == first {
		t.Error("not a new configuration from a changed Secret")
	}
	delete(held, "loft/kube")
	if _, err := connections.Config(t.Context(), cluster); reason(err) != ReasonSecretNotFound || len(connections.made) != 0 {
		t.Errorf("error %v and %d kept configurations of a Secret that is gone", err, len(connections.made))
	}
}
