// Package journey goes the documented way on an installation, as people do, with nothing but the
// command line and kubectl: an administrator connects two clusters, a person logs in and uses one
// directly, through the centre, and with the centre gone, until the access key is taken away.
//
// What surprises: every command is shown with what it prints, so a journey is a demonstration and a
// test at once. A step fails where a documented line is not there.
package journey

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"loft.sh/agent/test/sandbox"
	"loft.sh/agent/test/sandbox/central"
)

// The connected clusters.
const (
	First  = "eu"
	Second = "us"
)

// Journey is one on its way.
type Journey struct {
	dir, loft string
	out       io.Writer
	central   *central.Central
	lock      sync.Mutex
	step      int
	// admin makes the administrator ready once, when the first cluster is connected.
	admin    sync.Once
	adminErr error
}

// New prepares a journey that keeps its files in dir and shows itself on out. It builds the command
// line.
func New(ctx context.Context, dir string, out io.Writer) (*Journey, error) {
	j := &Journey{dir: dir, out: out, loft: filepath.Join(dir, "bin", "loft")}
	for _, home := range []string{central.Admin, central.Alice, "bin"} {
		if err := os.MkdirAll(filepath.Join(dir, home), 0o700); err != nil {
			return nil, fmt.Errorf("journey's directory: %w", err)
		}
	}
	return j, sandbox.Build(ctx, "./cmd/loft", j.loft)
}

// Options are those of the installation that the journey goes through.
func (j *Journey) Options() central.Options {
	return central.Options{
		Dir: filepath.Join(j.dir, "installation"), Log: j.out, Connect: j.connect,
		Clusters: []central.ClusterOptions{{Name: First}, {Name: Second}},
	}
}

// Loft is the path of the command line.
func (j *Journey) Loft() string { return j.loft }

// Say begins a step.
func (j *Journey) say(what string) {
	j.lock.Lock()
	defer j.lock.Unlock()
	j.step++
	_, _ = fmt.Fprintf(j.out, "\n== %d. %s\n", j.step, what)
}

// call is a command of a person.
type call struct {
	person string
	stdin  string
	// fails says that the command must fail.
	fails bool
	// want must stand in what it prints; unwanted must not.
	want     []string
	unwanted string
}

// run shows a command and what it prints, and returns that.
func (j *Journey) run(ctx context.Context, c call, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = j.Env(c.person)
	cmd.Stdin = strings.NewReader(c.stdin)
	var printed bytes.Buffer
	cmd.Stdout, cmd.Stderr = &printed, &printed
	err := cmd.Run()
	j.lock.Lock()
	_, _ = fmt.Fprintf(j.out, "%s$ %s %s\n%s", c.person, filepath.Base(name), j.shown(args), &printed)
	j.lock.Unlock()
	if failed := err != nil; failed != c.fails {
		return "", fmt.Errorf("%s %s: failed: %t, want %t: %w", filepath.Base(name), strings.Join(args, " "), failed, c.fails, errors.Join(err, ctx.Err()))
	}
	for _, want := range c.want {
		if !strings.Contains(printed.String(), want) {
			return "", fmt.Errorf("%s %s: did not print %q", filepath.Base(name), strings.Join(args, " "), want)
		}
	}
	if c.unwanted != "" && strings.Contains(printed.String(), c.unwanted) {
		return "", fmt.Errorf("%s %s: printed %q", filepath.Base(name), strings.Join(args, " "), c.unwanted)
	}
	return printed.String(), nil
}

// shown are arguments as they may be seen: without keys.
func (j *Journey) shown(args []string) string {
	line := strings.Join(args, " ")
	for _, person := range []string{central.Admin, central.Alice} {
		line = strings.ReplaceAll(line, j.central.Key(person), "$KEY")
	}
	return strings.ReplaceAll(line, j.dir+string(filepath.Separator), "")
}

// Env is a person's environment: a home and a kubeconfig of the person's own, and no keyring.
func (j *Journey) Env(person string) []string {
	home := filepath.Join(j.dir, person)
	return append(os.Environ(), "HOME="+home, "KUBECONFIG="+filepath.Join(home, "kubeconfig"), "LOFT_CONFIG=",
		"KUBECACHEDIR="+filepath.Join(home, "cache"), "DBUS_SESSION_BUS_ADDRESS=disabled:")
}

// login logs a person in.
func (j *Journey) login(ctx context.Context, person string) error {
	_, err := j.run(ctx, call{person: person, stdin: j.central.Key(person), want: []string{
		"[info]   Logged in as " + person, "[done] √ Successfully logged into Loft instance " + j.central.URL(),
	}}, j.loft, "login", j.central.URL(), "--certificate-authority", j.central.CAFile(), "--access-key-file", "-")
	return err
}

// connect has the administrator connect a cluster; the sandbox then starts the agent that the manager
// has installed.
func (j *Journey) connect(ctx context.Context, c *central.Central, cluster string) error {
	j.admin.Do(func() {
		j.central = c
		j.say("The administrator logs in, and connects two clusters with their endpoints")
		j.adminErr = j.login(ctx, central.Admin)
	})
	if j.adminErr != nil {
		return j.adminErr
	}
	at := c.Connected(cluster)
	_, err := j.run(ctx, call{person: central.Admin, want: []string{"[done] √ Successfully connected cluster " + cluster}},
		j.loft, "connect", "cluster", cluster, "--kubeconfig", at.Cluster().AdminKubeconfig(), "--wait", "0",
		"--direct-cluster-endpoint", at.EndpointURL(), "--direct-cluster-endpoint-ca", at.EndpointCA())
	return err
}

// responseLine is how kubectl reports a request at -v=6.
var responseLine = regexp.MustCompile(`verb="GET" url="([^"]+)" status="200 OK" milliseconds=(\d+)`)

// namespaces has a person list namespaces, which must be asked for at url. It repeats kubectl's report
// of the request in the words that kubectl had before it logged key and value.
func (j *Journey) namespaces(ctx context.Context, person, url string) error {
	printed, err := j.run(ctx, call{person: person, want: []string{"kube-system"}}, j.Kubectl(), "get", "ns", "-v=6")
	if err != nil {
		return err
	}
	want := url + "/api/v1/namespaces?limit=500"
	for _, match := range responseLine.FindAllStringSubmatch(printed, -1) {
		if match[1] == want {
			_, _ = fmt.Fprintf(j.out, "\nGET %s 200 OK in %s milliseconds\n", want, match[2])
			return nil
		}
	}
	return fmt.Errorf("kubectl did not report GET %s 200 OK", want)
}

// quiet is the journey, unseen: for what is tried again and again.
func (j *Journey) quiet() *Journey {
	return &Journey{dir: j.dir, loft: j.loft, central: j.central, out: io.Discard}
}

// Kubectl is the path of kubectl.
func (j *Journey) Kubectl() string { return j.central.Cluster().Binaries().Kubectl }
