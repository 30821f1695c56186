//go:build nginx

package e2e

import (
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"loft.sh/agent/test/e2e/kubectl"
)

// The files nginx*_test.go are left out of an ordinary run: they need nginx, and a part of them
// says nothing for minutes, which is their point. "make nginx" runs them.
const (
	// ingressSilence is what the Ingress manifest's timeouts must let pass.
	ingressSilence = 5 * time.Minute
	// pingedSilence is longer than nginx's own timeouts, so that only pings keep a stream open.
	pingedSilence = 90 * time.Second
)

func TestNginxHealth(t *testing.T) {
	proxy := startNginx(t, ingressDirectives(t))
	out := kubectl.OutputOf(t, exec.CommandContext(t.Context(),
		"curl", "--silent", "--show-error", "--cacert", proxy.caFile, "--head", proxy.url+"/healthz"))
	t.Logf("curl -I:\n%s", out)
	for _, want := range []string{
		"HTTP/2 200",
		"access-control-allow-headers: *",
		"access-control-allow-methods: POST, GET, OPTIONS, PUT, DELETE, PATCH",
		"access-control-allow-origin: *",
		"cache-control: no-cache, private",
		"strict-transport-security: max-age=31536000; includeSubDomains",
	} {
		if got := strings.Count(out, want); got != 1 {
			t.Errorf("%q is there %d times, want once", want, got)
		}
	}
}

// TestNginxIngress holds with the timeouts of the manifest.
func TestNginxIngress(t *testing.T) {
	proxy := startNginx(t, ingressDirectives(t))
	t.Run("commands", func(t *testing.T) {
		t.Parallel()
		kubectl.RunCommands(t, newKubectlUser(t, proxy.config(t)))
	})
	t.Run("get --watch that is silent", func(t *testing.T) {
		t.Parallel()
		watchSilent(t, newKubectlUser(t, proxy.config(t)), ingressSilence)
	})
	for _, protocol := range kubectl.Protocols {
		t.Run(protocol.Name, func(t *testing.T) {
			t.Parallel()
			s := &kubectl.Streams{User: newKubectlUser(t, proxy.config(t)), WebSockets: protocol.WebSockets, Silence: ingressSilence}
			s.RunPod(t)
			t.Run("attach that is silent", func(t *testing.T) {
				t.Parallel()
				attachSilent(t, s)
			})
			s.All(t)
		})
	}
}

// TestNginxDefaultTimeouts leaves nginx the timeouts of 60 s that it has by itself. Only streams
// have pings: a silent watch or "logs -f" is cut, which is why the manifest raises the timeouts.
func TestNginxDefaultTimeouts(t *testing.T) {
	directives := ingressDirectives(t)
	delete(directives, "proxy_read_timeout")
	delete(directives, "proxy_send_timeout")
	proxy := startNginx(t, directives)
	for _, protocol := range kubectl.Protocols {
		t.Run(protocol.Name, func(t *testing.T) {
			t.Parallel()
			s := &kubectl.Streams{User: newKubectlUser(t, proxy.config(t)), WebSockets: protocol.WebSockets, Silence: pingedSilence}
			s.RunPod(t)
			for _, test := range []struct {
				name string
				run  func(*testing.T)
			}{
				{"exec that is silent", s.ExecSilent},
				{"attach that is silent", func(t *testing.T) { attachSilent(t, s) }},
				{"port-forward that is silent", s.PortForward},
				{"logs -f that is cut", func(t *testing.T) { logsCut(t, s) }},
			} {
				t.Run(test.name, func(t *testing.T) {
					t.Parallel()
					test.run(t)
				})
			}
		})
	}
}

// attachSilent says something, nothing, and something again.
func attachSilent(t *testing.T, s *kubectl.Streams) {
	cmd := s.Stream(t, "attach", "-i", kubectl.StreamPod)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	l := kubectl.Start(t, cmd)
	l.Until(t, "^attached$")
	begun := time.Now()
	<-time.After(s.Silence)
	if _, err := io.WriteString(stdin, "still here\n"); err != nil {
		t.Fatal(err)
	}
	l.Until(t, "^still here$")
	s.WasSilent(t, begun)
	if err := stdin.Close(); err != nil {
		t.Error(err)
	}
}

// logsCut shows that the timeouts are in force, so that what stays open does so through pings.
func logsCut(t *testing.T, s *kubectl.Streams) {
	begun := time.Now()
	out, err := s.Stream(t, "logs", "-f", kubectl.StreamPod).Output()
	if want := "hello from web\n"; string(out) != want {
		t.Errorf("got %q and %v, want %q and the end", out, err, want)
	}
	t.Logf("cut after %s: %v", time.Since(begun).Round(time.Second), err)
}

// watchSilent sees what happens after a silence.
func watchSilent(t *testing.T, k *kubectl.User, silence time.Duration) {
	k.Output(t, "create", "configmap", "before")
	watch := kubectl.Start(t, k.Command(t, "get", "configmaps", "--watch", "-o", "name"))
	watch.Until(t, "^configmap/before$")
	begun := time.Now()
	<-time.After(silence)
	k.Output(t, "create", "configmap", "after")
	watch.Until(t, "^configmap/after$")
	t.Logf("silent for %s", time.Since(begun).Round(time.Millisecond))
}

// config is kubectl's through nginx.
func (n *nginx) config(t *testing.T) *rest.Config {
	config := shared.ClientConfig(sign(t, person(kubectlPerson)))
	config.Host = n.url + "/kubernetes/cluster"
	config.TLSClientConfig = rest.TLSClientConfig{CAFile: n.caFile}
	return config
}
