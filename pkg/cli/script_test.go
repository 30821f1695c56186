package cli_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"loft.sh/agent/pkg/cli"
	"loft.sh/agent/pkg/cli/console"
)

// TestMain makes programs of the test binary: loft itself; get, which asks for a path as kubectl would
// with the current context; onterminal, which runs a program on the controlling terminal.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"loft": func() { os.Exit(cli.Run(context.Background(), os.Args[1:], console.Standard())) },
		"get":  get,

		"onterminal": onTerminal,
	})
}

// get prints URL, status and answer of GET <server of the current context><path>.
func get() {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if err != nil {
		fail(err)
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		fail(err)
	}
	response, err := client.Get(config.Host + os.Args[1])
	if err != nil {
		fail(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		fail(err)
	}
	fmt.Printf("GET %s%s %s\n%s\n", config.Host, os.Args[1], response.Status, body)
	if response.StatusCode != http.StatusOK {
		os.Exit(1)
	}
}

// onTerminal runs a program with all of its streams on the terminal.
func onTerminal() {
	terminal, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		fail(err)
	}
	cmd := exec.Command(os.Args[1], os.Args[2:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	if err := cmd.Run(); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// TestScripts runs the files in testdata/script, which also show how each command is used.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   "testdata/script",
		Setup: setup,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"manager":  managerCommand,
			"endpoint": endpointCommand,
			"exits":    exits,
			"mode":     mode,
			"parallel": parallel,
			"killed":   killed,
			"age":      age,
			"parses":   parses,
		},
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
	})
}

type managerKey struct{}

// setup gives each script a home, and a manager that knows the clusters eu, us and asia and the
// people alice and bob.
func setup(env *testscript.Env) error {
	m := newFakeManager(env.T().(testing.TB))
	env.Values[managerKey{}] = m
	home := filepath.Join(env.WorkDir, "home")
	if err := os.MkdirAll(home, 0o700); err != nil {
		return err
	}
	ca := filepath.Join(env.WorkDir, "manager-ca.crt")
	if err := os.WriteFile(ca, m.ca(), 0o600); err != nil {
		return err
	}
	env.Setenv("HOME", home)
	env.Setenv("KUBECONFIG", filepath.Join(home, ".kube", "config"))
	env.Setenv("MANAGER", m.server.URL)
	env.Setenv("MANAGER_HTTP", m.plain.URL)
	env.Setenv("MANAGER_CA", ca)
	env.Setenv("CONFIG", filepath.Join(home, ".loft", "config.json"))
	env.Setenv("DBUS_SESSION_BUS_ADDRESS", "disabled:")
	return nil
}

func theManager(ts *testscript.TestScript) *fakeManager { return ts.Value(managerKey{}).(*fakeManager) }

// managerCommand is "manager stop|start|stuck" (nothing falls asleep any more), "manager annotate CLUSTER [KEY=VALUE…]",
// "manager tokens N" (it has issued that many), "manager lifetime DURATION" and others.
func managerCommand(ts *testscript.TestScript, neg bool, args []string) {
	m := theManager(ts)
	switch args[0] {
	case "stop":
		m.answers(http.StatusServiceUnavailable)
	case "start":
		m.answers(0)
	case "annotate":
		annotations := map[string]string{}
		for _, pair := range args[2:] {
			key, value, _ := strings.Cut(pair, "=")
			annotations["loft.sh/direct-cluster-endpoint"+key] = value
		}
		m.annotate(args[1], annotations)
	case "tokens":
		want, err := strconv.Atoi(args[1])
		ts.Check(err)
		if got := m.takeTokens(); got != want {
			ts.Fatalf("the manager was asked for %d tokens, want %d", got, want)
		}
	case "lifetime":
		d, err := time.ParseDuration(args[1])
		ts.Check(err)
		m.set(func() { m.lifetime = d })
	case "policy":
		m.set(func() { m.noTokens = args[1] })
	case "clock":
		d, err := time.ParseDuration(args[1])
		ts.Check(err)
		m.set(func() { m.skew = d })
	case "stuck":
		m.set(func() { m.stuck = true })
	case "revoke":
		m.set(func() { delete(m.keys, args[1]) })
	case "has":
		if m.has(args[1]) == neg {
			ts.Fatalf("key %s is there: %t", args[1], !neg)
		}
	default:
		ts.Fatalf("unknown: manager %s", args[0])
	}
}

// endpointCommand is "endpoint KIND CLUSTER VAR": it starts an endpoint, writes its CA to the file
// VAR.ca and sets VAR to its host.
func endpointCommand(ts *testscript.TestScript, _ bool, args []string) {
	server := theManager(ts).endpoint(args[0], args[1])
	ts.Setenv(args[2], strings.TrimPrefix(server.URL, "https://"))
	ts.Setenv(args[2]+"_CA", encodeCA(server.Certificate().Raw))
}

// exits is "exits CODE PROGRAM ARG…": it runs a program that must end with that code and a single
// line of error.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Check(err)
	}
	stderr := ts.ReadFile("stderr")
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
	if n := strings.Count(stderr, "[error]"); n != 1 || !strings.HasSuffix(stderr, "\n") {
		ts.Fatalf("%d lines of error, want 1", n)
	}
}

// mode is "mode FILE 0600".
func mode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[1] {
		ts.Fatalf("%s has mode %s, want %s", args[0], got, args[1])
	}
}

// parallel is "parallel N PROGRAM ARG…": it runs a program N times at once; each must succeed.
// {i} in an argument is the number of the run.
func parallel(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	var wait sync.WaitGroup
	failures := make(chan string, n)
	for i := range n {
		wait.Go(func() {
			cmd := scriptCommand(ts, i, args[1:])
			if out, err := cmd.CombinedOutput(); err != nil {
				failures <- fmt.Sprintf("run %d: %v\n%s", i, err, out)
			}
		})
	}
	wait.Wait()
	close(failures)
	for failure := range failures {
		ts.Fatalf("%s", failure)
	}
}

// killed is "killed N PROGRAM ARG…": as parallel, but a third of the runs is killed at some moment.
// The others must leave the context run-{i}.
func killed(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	var wait sync.WaitGroup
	failures := make(chan string, n)
	for i := range n {
		wait.Go(func() {
			cmd := scriptCommand(ts, i, args[1:])
			var out strings.Builder
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Start(); err != nil {
				failures <- err.Error()
				return
			}
			if i%3 == 0 {
				timer := time.AfterFunc(time.Duration(i)*20*time.Millisecond, func() { _ = cmd.Process.Signal(syscall.SIGKILL) })
				defer timer.Stop()
			}
			if err := cmd.Wait(); err != nil && i%3 != 0 {
				failures <- fmt.Sprintf("run %d: %v\n%s", i, err, &out)
			}
		})
	}
	wait.Wait()
	close(failures)
	for failure := range failures {
		ts.Fatalf("%s", failure)
	}
	for i := range n {
		if i%3 != 0 {
			parses(ts, false, []string{"run-" + strconv.Itoa(i)})
		}
	}
}

// age is "age CLUSTER DURATION LIFETIME": it makes the kept token that old, and lets it live that
// long in all.
func age(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.Getenv("CONFIG")
	var config map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(path)), &config))
	age, err := time.ParseDuration(args[1])
	ts.Check(err)
	lifetime, err := time.ParseDuration(args[2])
	ts.Check(err)
	token := config["directClusterEndpointTokens"].(map[string]any)[args[0]].(map[string]any)
	asked := time.Now().Add(-age)
	token["requested"], token["expires"] = asked.Format(time.RFC3339), asked.Add(lifetime).Format(time.RFC3339)
	data, err := json.Marshal(config)
	ts.Check(err)
	ts.Check(os.WriteFile(path, data, 0o600))
}

// parses is "parses CONTEXT…": every file of $KUBECONFIG must parse, and have all of these contexts
// among them, complete.
func parses(ts *testscript.TestScript, _ bool, args []string) {
	paths := filepath.SplitList(ts.Getenv("KUBECONFIG"))
	for _, path := range paths {
		_, err := clientcmd.LoadFromFile(path)
		ts.Check(err)
	}
	merged, err := (&clientcmd.ClientConfigLoadingRules{Precedence: paths}).Load()
	ts.Check(err)
	for _, name := range args {
		context := merged.Contexts[name]
		if context == nil || merged.Clusters[context.Cluster] == nil || merged.AuthInfos[context.AuthInfo] == nil {
			ts.Fatalf("the context %s is not complete", name)
		}
	}
}

func scriptCommand(ts *testscript.TestScript, i int, args []string) *exec.Cmd {
	var expanded []string
	for _, arg := range args[1:] {
		expanded = append(expanded, strings.ReplaceAll(arg, "{i}", strconv.Itoa(i)))
	}
	program, err := exec.LookPath(args[0])
	ts.Check(err)
	cmd := exec.Command(program, expanded...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"HOME", "KUBECONFIG", "PATH", "CONFIG", "DBUS_SESSION_BUS_ADDRESS"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	return cmd
}

func encodePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
