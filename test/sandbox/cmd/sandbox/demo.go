package main

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
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/spf13/cobra"

	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/test/controlplane"
	"loft.sh/agent/test/journey"
	"loft.sh/agent/test/sandbox"
	"loft.sh/agent/test/sandbox/central"
)

const proxyPath = "/apis/cluster.loft.sh/v1/kubernetes/cluster/proxy"

func newDemo() *cobra.Command {
	var single bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Start a sandbox, use it as people would, and end it",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if single {
				return demo(cmd.Context(), os.Stdout)
			}
			return goOnJourney(cmd.Context(), os.Stdout)
		},
	}
	cmd.Flags().BoolVar(&single, "single", false, "Show one cluster with its agent, and no centre.")
	return cmd
}

// goOnJourney shows an installation.
func goOnJourney(ctx context.Context, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "loft-demo-")
	if err != nil {
		return fmt.Errorf("demo's directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	j, err := journey.New(ctx, dir, out)
	if err != nil {
		return err
	}
	c, err := central.Start(ctx, j.Options())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	return j.Run(ctx, c)
}

// show is the demo while it runs.
type show struct {
	*sandbox.Sandbox
	out        io.Writer
	dir        string
	kubeconfig string
	step       int
}

func demo(ctx context.Context, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "loft-demo-")
	if err != nil {
		return fmt.Errorf("demo's directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s := &show{out: out, dir: dir}
	s.say("Start a cluster (a real etcd, kube-apiserver and kube-controller-manager) and its agent")
	if s.Sandbox, err = sandbox.Start(ctx, sandbox.Options{Dir: dir, Log: out}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	for _, step := range []func(context.Context) error{s.health, s.direct, s.aggregated, s.refused, s.audited} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	s.say("Done: the same API, three ways in, one set of rules")
	return nil
}

func (s *show) say(what string) {
	s.step++
	_, _ = fmt.Fprintf(s.out, "\n== %d. %s\n", s.step, what)
}

// run shows a command and what it prints; want must be part of that.
func (s *show) run(ctx context.Context, wantFailure bool, want []string, name string, args ...string) error {
	_, err := s.capture(ctx, wantFailure, want, name, args...)
	return err
}

// capture runs like run and returns what was printed.
func (s *show) capture(ctx context.Context, wantFailure bool, want []string, name string, args ...string) (string, error) {
	_, _ = fmt.Fprintf(s.out, "$ %s %s\n", filepath.Base(name), strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+s.kubeconfig, "KUBECACHEDIR="+filepath.Join(s.dir, "demo", "cache"))
	var printed bytes.Buffer
	cmd.Stdout, cmd.Stderr = io.MultiWriter(s.out, &printed), io.MultiWriter(s.out, &printed)
	err := cmd.Run()
	if failed := err != nil; failed != wantFailure {
		return "", fmt.Errorf("%s: failed: %t, want %t (%w)", name, failed, wantFailure, err)
	}
	for _, w := range want {
		if !strings.Contains(printed.String(), w) {
			return "", fmt.Errorf("%s: did not print %q", name, w)
		}
	}
	return printed.String(), nil
}

func (s *show) health(ctx context.Context) error {
	s.say("The endpoint's health, as anybody sees it")
	return s.run(ctx, false, []string{" 200", "access-control-allow-origin: *", "cache-control: no-cache, private"},
		"curl", "-sS", "--cacert", s.EndpointCA(), "-I", s.EndpointURL()+"/healthz")
}

func (s *show) direct(ctx context.Context) error {
	s.say("alice asks the cluster itself, with a direct endpoint token; RBAC lets her read")
	admin := []string{"--kubeconfig", s.Cluster().AdminKubeconfig()}
	if err := s.run(ctx, false, nil, s.kubectl(), append(admin, "create", "clusterrolebinding", "alice-reads",
		"--clusterrole=view", "--user=loft:user:alice")...); err != nil {
		return err
	}
	if err := s.run(ctx, false, nil, s.kubectl(), append(admin, "create", "clusterrole", "namespace-reader",
		"--verb=get,list,watch", "--resource=namespaces")...); err != nil {
		return err
	}
	if err := s.run(ctx, false, nil, s.kubectl(), append(admin, "create", "clusterrolebinding", "alice-reads-namespaces",
		"--clusterrole=namespace-reader", "--user=loft:user:alice")...); err != nil {
		return err
	}
	if err := s.login(); err != nil {
		return err
	}
	url := s.EndpointURL() + "/kubernetes/cluster/api/v1/namespaces?limit=500"
	printed, err := s.capture(ctx, false, []string{"kube-system"}, s.kubectl(), "get", "ns", "-v=6")
	if err != nil {
		return err
	}
	return s.summarise(printed, url)
}

// responseLine is how kubectl reports a request at -v=6.
var responseLine = regexp.MustCompile(`verb="GET" url="([^"]+)" status="200 OK" milliseconds=(\d+)`)

// summarise repeats kubectl's report of the request in the words that kubectl had before it logged
// key and value.
func (s *show) summarise(printed, url string) error {
	for _, match := range responseLine.FindAllStringSubmatch(printed, -1) {
		if match[1] == url {
			_, _ = fmt.Fprintf(s.out, "\nGET %s 200 OK in %s milliseconds\n", url, match[2])
			return nil
		}
	}
	return fmt.Errorf("kubectl did not report GET %s 200 OK", url)
}

func (s *show) aggregated(ctx context.Context) error {
	s.say("The host cluster's admin takes the other door, through the API server's aggregator")
	return s.run(ctx, false, []string{"NamespaceList"}, s.kubectl(), "--kubeconfig", s.Cluster().AdminKubeconfig(),
		"get", "--raw", proxyPath+"/api/v1/namespaces?limit=1")
}

func (s *show) refused(ctx context.Context) error {
	s.say("The same rules: what RBAC does not give alice, the endpoint does not either")
	return s.run(ctx, true, []string{"Forbidden", "loft:user:alice"}, s.kubectl(), "get", "secrets", "-n", "kube-system")
}

// audited shows the agent's own records of the three requests.
func (s *show) audited(context.Context) error {
	s.say("What the agent's audit log says of the three")
	data, err := os.ReadFile(s.AgentAuditLog())
	if err != nil {
		return fmt.Errorf("agent's audit log: %w", err)
	}
	for _, want := range []string{
		`"username":"loft:user:alice"|"requestURI":"/api/v1/namespaces?limit=500"|"code":200`,
		`"requestURI":"/api/v1/namespaces?limit=1"|"code":200`,
		`"username":"loft:user:alice"|/secrets|"code":403`,
	} {
		record := find(data, strings.Split(want, "|"))
		if record == "" {
			return fmt.Errorf("agent's audit log: no record of %s", want)
		}
		_, _ = fmt.Fprintln(s.out, record)
	}
	return nil
}

func find(log []byte, parts []string) string {
	for line := range strings.Lines(string(log)) {
		found := true
		for _, part := range parts {
			found = found && strings.Contains(line, part)
		}
		if found {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

func (s *show) kubectl() string { return s.Cluster().Binaries().Kubectl }

// login writes alice's kubeconfig for the endpoint.
func (s *show) login() error {
	token, err := s.Keys().Signer().Sign(accesstoken.Claims{
		Subject: accesstoken.PersonName("alice"), UID: "alice-uid", Groups: accesstoken.PersonGroups("alice", "dev"),
		Audience: jwt.Audience{s.Keys().ClusterUID()}, Expiry: jwt.NewNumericDate(time.Now().Add(time.Hour)),
	})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(s.dir, "demo"), 0o700); err != nil {
		return fmt.Errorf("demo's directory: %w", err)
	}
	s.kubeconfig = filepath.Join(s.dir, "demo", "kubeconfig")
	return controlplane.WriteKubeconfig(s.kubeconfig, "loft_my-connected-cluster", s.ClientConfig(token))
}
