//go:build unix

package controlplane

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// testLog hands lines to the test's own log.
type testLog struct{ t *testing.T }

func (l testLog) Write(line []byte) (int, error) {
	l.t.Log(strings.TrimSuffix(string(line), "\n"))
	return len(line), nil
}

// TestStart starts two control planes side by side, one with a controller manager.
func TestStart(t *testing.T) {
	ctx := t.Context()
	type result struct {
		c   *ControlPlane
		err error
	}
	second := make(chan result, 1)
	go func() {
		c, err := Start(ctx, Options{Name: "second", Log: testLog{t}})
		second <- result{c, err}
	}()
	first, err := Start(ctx, Options{Name: "first", Log: testLog{t}, ControllerManager: true})
	other := <-second
	if err := errors.Join(err, other.err); err != nil {
		t.Fatal(err)
	}

	t.Run("they are apart", func(t *testing.T) { testApart(t, first, other.c) })
	t.Run("audit log", func(t *testing.T) { testAuditLog(t, first) })
	t.Run("identities", func(t *testing.T) { testIdentities(t, first) })
	t.Run("namespace life cycle", func(t *testing.T) { testNamespaceLifeCycle(t, first) })
	t.Run("restart", func(t *testing.T) { testRestart(t, other.c) })
	t.Run("stop", func(t *testing.T) { testStop(t, first, other.c) })
}

func client(t *testing.T, config *rest.Config) *kubernetes.Clientset {
	t.Helper()
	clientset, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return clientset
}

func createNamespace(t *testing.T, config *rest.Config, name string) {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := client(t, config).CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func testApart(t *testing.T, first, second *ControlPlane) {
	createNamespace(t, first.RESTConfig(), "only-here")
	_, err := client(t, second.RESTConfig()).CoreV1().Namespaces().Get(t.Context(), "only-here", metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("the second cluster answered %v, want not found", err)
	}
	crossed := first.RESTConfig()
	crossed.Host = second.URL()
	if _, err := client(t, crossed).Discovery().ServerVersion(); err == nil {
		t.Error("the first cluster's authority vouches for the second cluster")
	}
}

// auditRecord is the part of an audit event that the tests look at.
type auditRecord struct {
	Level, Stage, Verb     string
	User, ImpersonatedUser struct{ Username string }
	ObjectRef              struct{ Resource, Name string }
}

func readAuditLog(t *testing.T, path string) []auditRecord {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var records []auditRecord
	for decoder := json.NewDecoder(bufio.NewReader(file)); ; {
		var record auditRecord
		if err := decoder.Decode(&record); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return records
		} else if err != nil {
			t.Fatal(err)
		}
		records = append(records, record)
	}
}

func testAuditLog(t *testing.T, c *ControlPlane) {
	config := c.RESTConfig()
	config.Impersonate = rest.ImpersonationConfig{UserName: "somebody", Groups: []string{"system:masters"}}
	createNamespace(t, config, "recorded")

	want := auditRecord{Level: "Metadata", Stage: "ResponseComplete", Verb: "create"}
	want.User.Username = "kubernetes-admin"
	want.ImpersonatedUser.Username = "somebody"
	want.ObjectRef.Resource, want.ObjectRef.Name = "namespaces", "recorded"
	// The record is written as the handler returns, which can be after the client has its answer.
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 10*time.Second, true, func(context.Context) (bool, error) {
		return slices.Contains(readAuditLog(t, c.AuditLog()), want), nil
	})
	if err != nil {
		t.Errorf("no record %+v in the audit log: %v", want, err)
	}
}

func testIdentities(t *testing.T, c *ControlPlane) {
	fromFile, err := clientcmd.BuildConfigFromFlags("", c.AdminKubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	user, err := c.UserConfig("alice", "team-a", "team-b")
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := c.IssueClientCert("bob", []string{"team-c"})
	if err != nil {
		t.Fatal(err)
	}
	issued := c.TokenConfig("")
	issued.CertData, issued.KeyData = cert, key
	token, err := c.ServiceAccountToken(t.Context(), "default", "default", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name       string
		config     *rest.Config
		wantUser   string
		wantGroups []string
	}{
		{"admin", c.RESTConfig(), "kubernetes-admin", []string{"system:masters"}},
		{"kubeconfig", fromFile, "kubernetes-admin", []string{"system:masters"}},
		{"user", user, "alice", []string{"team-a", "team-b"}},
		{"issued certificate", issued, "bob", []string{"team-c"}},
		{"service account", c.TokenConfig(token), "system:serviceaccount:default:default",
			[]string{"system:serviceaccounts", "system:serviceaccounts:default"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			review, err := client(t, test.config).AuthenticationV1().SelfSubjectReviews().
				Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			info := review.Status.UserInfo
			if info.Username != test.wantUser {
				t.Errorf("user = %q, want %q", info.Username, test.wantUser)
			}
			if diff := cmp.Diff(append(test.wantGroups, "system:authenticated"), info.Groups); diff != "" {
				t.Errorf("groups (-want +got):\n%s", diff)
			}
		})
	}
}

// testNamespaceLifeCycle needs the controller manager twice.
func testNamespaceLifeCycle(t *testing.T, c *ControlPlane) {
	createNamespace(t, c.RESTConfig(), "short-lived")
	hostClient := client(t, c.RESTConfig()).CoreV1()
	await := func(what string, condition func(context.Context) (bool, error)) {
		t.Helper()
		if err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, time.Minute, true, condition); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	await("root CA", func(ctx context.Context) (bool, error) {
		found, err := hostClient.ConfigMaps("short-lived").Get(ctx, "kube-root-ca.crt", metav1.GetOptions{})
		return err == nil && found.Data["ca.crt"] == string(c.CAData()), nil
	})
	if err := hostClient.Namespaces().Delete(t.Context(), "short-lived", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	await("deletion", func(ctx context.Context) (bool, error) {
		_, err := hostClient.Namespaces().Get(ctx, "short-lived", metav1.GetOptions{})
		return apierrors.IsNotFound(err), nil
	})
}

func testRestart(t *testing.T, c *ControlPlane) {
	for _, test := range []struct {
		name string
		end  func() error
	}{
		{"stopped", c.StopAPIServer},
		{"killed", c.KillAPIServer},
		{"running", func() error { return nil }},
	} {
		t.Run(test.name, func(t *testing.T) {
			createNamespace(t, c.RESTConfig(), test.name)
			pid, url := c.APIServerPID(), c.URL()
			begun := time.Now()
			if err := test.end(); err != nil {
				t.Fatal(err)
			}
			ended := time.Now()
			if err := c.RestartAPIServer(t.Context()); err != nil {
				t.Fatal(err)
			}
			t.Logf("ended in %s, restarted in %s", ended.Sub(begun), time.Since(ended))
			if c.APIServerPID() == pid || exists(pid) {
				t.Errorf("process %d is still there", pid)
			}
			if c.URL() != url {
				t.Errorf("URL = %s, was %s", c.URL(), url)
			}
			namespaces := client(t, c.RESTConfig()).CoreV1().Namespaces()
			if _, err := namespaces.Get(t.Context(), test.name, metav1.GetOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
}

func testStop(t *testing.T, controlPlanes ...*ControlPlane) {
	for _, c := range controlPlanes {
		processes := c.Processes()
		begun := time.Now()
		for range 2 {
			if err := c.Stop(); err != nil {
				t.Error(err)
			}
		}
		t.Logf("stopped in %s", time.Since(begun))
		for _, p := range processes {
			if exists(p.PID()) {
				t.Errorf("%s (%d) still runs", p.Name(), p.PID())
			}
		}
		if _, err := os.Stat(c.Dir()); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("temporary directory %s is still there: %v", c.Dir(), err)
		}
	}
}

// exists asks the kernel; a process that ended but was not waited for exists.
func exists(pid int) bool { return syscall.Kill(pid, 0) == nil }

func TestStartFails(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	_, err := Start(t.Context(), Options{Name: "broken", Log: testLog{t}, ExtraAPIServerArgs: []string{"--no-such-flag"}})
	if err == nil {
		t.Fatal("started with an unknown flag")
	}
	for _, want := range []string{`control plane "broken"`, "kube-apiserver ended by itself: exit status 1",
		filepath.Join("logs", "kube-apiserver.log"), "unknown flag: --no-such-flag"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
	left, globErr := filepath.Glob(filepath.Join(tmp, "broken-*", "*"))
	if globErr != nil {
		t.Fatal(globErr)
	}
	for _, path := range left {
		if name := filepath.Base(path); name != "logs" && name != "audit-policy.yaml" {
			t.Errorf("%s is left behind", path)
		}
	}
}

// TestStartAgain starts on the directory of an earlier control plane.
func TestStartAgain(t *testing.T) {
	opts := Options{Dir: t.TempDir(), Log: testLog{t}}
	first, err := Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	createNamespace(t, first.RESTConfig(), "kept")
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	again, err := Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Stop()
	earlier := first.RESTConfig()
	earlier.Host = again.URL()
	if _, err := client(t, earlier).CoreV1().Namespaces().Get(t.Context(), "kept", metav1.GetOptions{}); err != nil {
		t.Errorf("what was kept, with the earlier credential: %v", err)
	}
}

// TestPortTaken has another program listen on the API server's port, at the start and
// while the API server is down.
func TestPortTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	c, err := newControlPlane(t.Context(), Options{Log: testLog{t}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	attempts := 0
	err = c.launch(t.Context(), func() (ports, error) {
		found, err := freePorts()
		if attempts++; attempts == 1 {
			found.apiServer = taken.Addr().(*net.TCPAddr).Port
		}
		return found, err
	})
	if err != nil {
		t.Fatal(err)
	}
	if attempts != 2 {
		t.Errorf("%d attempts, want 2", attempts)
	}

	if err := c.KillAPIServer(); err != nil {
		t.Fatal(err)
	}
	meanwhile, err := net.Listen("tcp", strings.TrimPrefix(c.URL(), "https://"))
	if err != nil {
		t.Fatal(err)
	}
	failed := strings.Count(readFile(t, c.logFile("kube-apiserver")), "address already in use")
	go func() {
		defer meanwhile.Close()
		_ = wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
			log, err := os.ReadFile(c.logFile("kube-apiserver"))
			return strings.Count(string(log), "address already in use") > failed, err
		})
	}()
	if err := c.RestartAPIServer(t.Context()); err != nil {
		t.Error(err)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
