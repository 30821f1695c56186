package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/url"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/test/controlplane"
	"loft.sh/agent/test/e2e/kubectl"
)

// kubectlPerson is whom kubectl authenticates as.
const kubectlPerson = "admin-e2e"

// kubectlPort is a way for kubectl to the cluster.
type kubectlPort struct {
	name   string
	config func(*testing.T) *rest.Config
}

// aggregatedDoor is door 2, through the API server's aggregator; the same person comes with a
// client certificate of the cluster.
var aggregatedDoor = kubectlPort{"aggregated", func(t *testing.T) *rest.Config {
	config, err := shared.Cluster().UserConfig(accesstoken.PersonName(kubectlPerson))
	if err != nil {
		t.Fatal(err)
	}
	config.Host += "/apis/cluster.loft.sh/v1/kubernetes/cluster/proxy"
	return config
}}

// kubectlPorts are the two outer listeners as kubectl reaches them.
var kubectlPorts = []kubectlPort{
	{"HTTPS port", func(t *testing.T) *rest.Config {
		return shared.ClientConfig(sign(t, person(kubectlPerson)))
	}},
	{"HTTP port", func(t *testing.T) *rest.Config {
		config := shared.ClientConfig(sign(t, person(kubectlPerson)))
		address, ca := endTLS(t, shared.EndpointHTTPURL())
		config.Host = "https://" + address + "/kubernetes/cluster"
		config.TLSClientConfig = rest.TLSClientConfig{CAData: ca}
		return config
	}},
}

// newKubectlUser makes the person of config a cluster admin for as long as the test runs.
func newKubectlUser(t *testing.T, config *rest.Config) *kubectl.User {
	t.Helper()
	cluster := shared.Cluster()
	admin, err := kubernetes.NewForConfig(cluster.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	bindKubectlPerson(t, admin)
	return kubectl.New(t, kubectl.Way{
		Binary: cluster.Binaries().Kubectl, Config: config,
		User: authenticationv1.UserInfo{
			Username: accesstoken.PersonName(kubectlPerson), UID: kubectlPerson + "-uid",
			Groups: accesstoken.PersonGroups(kubectlPerson),
		},
		Direct: cluster.RESTConfig(), DirectKubeconfig: cluster.AdminKubeconfig(), AuditLog: shared.AgentAuditLog(),
	})
}

func TestKubectl(t *testing.T) {
	for _, port := range kubectlPorts {
		t.Run(port.name, func(t *testing.T) {
			t.Parallel()
			kubectl.RunCommands(t, newKubectlUser(t, port.config(t)))
		})
	}
}

func TestKubectlStreams(t *testing.T) {
	silence := kubectl.WantedSilence(t)
	for _, port := range append(slices.Clone(kubectlPorts), aggregatedDoor) {
		for _, protocol := range kubectl.Protocols {
			t.Run(port.name+"/"+protocol.Name, func(t *testing.T) {
				t.Parallel()
				s := &kubectl.Streams{User: newKubectlUser(t, port.config(t)), WebSockets: protocol.WebSockets, Silence: silence}
				s.RunPod(t)
				t.Run("streams", s.All)
				want := map[string]string{"exec": protocol.Verb, "attach": protocol.Verb, "portforward": protocol.Verb, "log": "get"}
				if diff := cmp.Diff(want, s.AuditedVerbs(t)); diff != "" {
					t.Errorf("audited verbs by subresource differ (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// bindKubectlPerson waits until the API server knows of the binding: the agent remembers a no.
func bindKubectlPerson(t *testing.T, admin kubernetes.Interface) {
	t.Helper()
	user := accesstoken.PersonName(kubectlPerson)
	bindings := admin.RbacV1().ClusterRoleBindings()
	binding, err := bindings.Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "e2e-kubectl-"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := bindings.Delete(context.WithoutCancel(t.Context()), binding.Name, metav1.DeleteOptions{})
		if err != nil {
			t.Error(err)
		}
	})
	kubectl.Await(t, "binding", func(ctx context.Context) bool {
		review, err := admin.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
			Spec: authorizationv1.SubjectAccessReviewSpec{
				User:               user,
				ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "*", Group: "*", Resource: "*"},
			},
		}, metav1.CreateOptions{})
		return err == nil && review.Status.Allowed
	})
}

// endTLS stands for the ingress in front of the plain port: kubectl sends no token over plain
// HTTP. It ends TLS and passes bytes on, so that what is tested is the agent.
func endTLS(t *testing.T, plain string) (address string, ca []byte) {
	t.Helper()
	target, err := url.Parse(plain)
	if err != nil {
		t.Fatal(err)
	}
	authority, err := controlplane.NewCA("e2e-ingress")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := authority.IssueServing("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := tls.X509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			} else if err == nil {
				go joinConnections(client.(*tls.Conn), target.Host)
			}
		}
	}()
	return listener.Addr().String(), authority.CertPEM()
}

// joinConnections passes bytes and the end of each direction.
func joinConnections(client *tls.Conn, address string) {
	defer func() { _ = client.Close() }()
	dialed, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	server := dialed.(*net.TCPConn)
	defer func() { _ = server.Close() }()
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.CloseWrite()
	}()
	_, _ = io.Copy(client, server)
}
