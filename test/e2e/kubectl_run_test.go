package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/test/controlplane"
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

// kubectlUser runs the real kubectl in a namespace of its own.
type kubectlUser struct {
	admin                      kubernetes.Interface
	namespace, kubeconfig, dir string
}

// newKubectlUser makes the person of config a cluster admin for as long as the test runs.
func newKubectlUser(t *testing.T, config *rest.Config) *kubectlUser {
	t.Helper()
	admin, err := kubernetes.NewForConfig(shared.Cluster().RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	k := &kubectlUser{admin: admin, dir: t.TempDir()}
	k.kubeconfig = filepath.Join(k.dir, "kubeconfig")
	if err := controlplane.WriteKubeconfig(k.kubeconfig, "endpoint", config); err != nil {
		t.Fatal(err)
	}
	bindKubectlPerson(t, admin)
	namespace, err := admin.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "kubectl-"},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	k.namespace = namespace.Name
	t.Cleanup(func() {
		err := admin.CoreV1().Namespaces().Delete(context.WithoutCancel(t.Context()), k.namespace, metav1.DeleteOptions{})
		if err != nil {
			t.Error(err)
		}
	})
	// The service account controller's work, without which no pod is admitted.
	k.await(t, "service account", func(ctx context.Context) bool {
		_, err := admin.CoreV1().ServiceAccounts(k.namespace).Get(ctx, "default", metav1.GetOptions{})
		return err == nil
	})
	return k
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
	(&kubectlUser{}).await(t, "binding", func(ctx context.Context) bool {
		review, err := admin.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
			Spec: authorizationv1.SubjectAccessReviewSpec{
				User:               user,
				ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "*", Group: "*", Resource: "*"},
			},
		}, metav1.CreateOptions{})
		return err == nil && review.Status.Allowed
	})
}

// command returns a kubectl that ends with the test.
func (k *kubectlUser) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), shared.Cluster().Binaries().Kubectl,
		append([]string{"--kubeconfig=" + k.kubeconfig, "--namespace=" + k.namespace}, args...)...)
	cmd.Dir = k.dir
	cmd.Env = append(os.Environ(), "HOME="+k.dir, "KUBECACHEDIR="+filepath.Join(k.dir, "cache"))
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// output runs kubectl and returns what it wrote to stdout.
func (k *kubectlUser) output(t *testing.T, args ...string) string {
	t.Helper()
	return outputOf(t, k.command(t, args...))
}

func (k *kubectlUser) outputWith(t *testing.T, stdin io.Reader, args ...string) string {
	t.Helper()
	cmd := k.command(t, args...)
	cmd.Stdin = stdin
	return outputOf(t, cmd)
}

// await waits for a condition.
func (*kubectlUser) await(t *testing.T, what string, condition func(context.Context) bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, time.Minute, true,
		func(ctx context.Context) (bool, error) { return condition(ctx), nil })
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func outputOf(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s%s", cmd.Args, err, out, &stderr)
	}
	return string(out)
}

// lines are what a command writes while it runs.
type lines struct {
	cmd    *exec.Cmd
	stdout *bufio.Scanner
	stderr bytes.Buffer
}

// startLines starts a command that runs until the test ends.
func startLines(t *testing.T, cmd *exec.Cmd) *lines {
	t.Helper()
	l := &lines{cmd: cmd}
	cmd.Stderr = &l.stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	l.stdout = bufio.NewScanner(stdout)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() })
	return l
}

// until reads on to the line that matches and returns what the pattern's group holds.
func (l *lines) until(t *testing.T, pattern string) string {
	t.Helper()
	expression := regexp.MustCompile(pattern)
	for l.stdout.Scan() {
		if match := expression.FindStringSubmatch(l.stdout.Text()); match != nil {
			return match[len(match)-1]
		}
	}
	err := l.cmd.Wait()
	t.Fatalf("%v: no line matches %s: %v\n%s", l.cmd.Args, pattern, err, &l.stderr)
	return ""
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
