//go:build nginx

package e2e

import (
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
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
	out := outputOf(t, exec.CommandContext(t.Context(),
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
		runKubectlCommands(t, newKubectlUser(t, proxy.config(t)))
	})
	t.Run("get --watch that is silent", func(t *testing.T) {
		t.Parallel()
		watchSilent(t, newKubectlUser(t, proxy.config(t)), ingressSilence)
	})
	for _, protocol := range streamProtocols {
		t.Run(protocol.name, func(t *testing.T) {
			t.Parallel()
			s := &streamUser{newKubectlUser(t, proxy.config(t)), protocol.webSockets, ingressSilence}
			s.runPod(t)
			t.Run("attach that is silent", func(t *testing.T) {
				t.Parallel()
				s.attachSilent(t)
			})
			s.all(t)
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
	for _, protocol := range streamProtocols {
		t.Run(protocol.name, func(t *testing.T) {
			t.Parallel()
			s := &streamUser{newKubectlUser(t, proxy.config(t)), protocol.webSockets, pingedSilence}
			s.runPod(t)
			for _, test := range []struct {
				name string
				run  func(*testing.T)
			}{
				{"exec that is silent", s.execSilent},
				{"attach that is silent", s.attachSilent},
				{"port-forward that is silent", s.portForward},
				{"logs -f that is cut", s.logsCut},
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
func (s *streamUser) attachSilent(t *testing.T) {
	cmd := s.stream(t, "attach", "-i", streamPod)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	l := startLines(t, cmd)
	l.until(t, "^attached$")
	begun := time.Now()
	<-time.After(s.silence)
	if _, err := io.WriteString(stdin, "still here\n"); err != nil {
		t.Fatal(err)
	}
	l.until(t, "^still here$")
	s.wasSilent(t, begun)
	if err := stdin.Close(); err != nil {
		t.Error(err)
	}
}

// logsCut shows that the timeouts are in force, so that what stays open does so through pings.
func (s *streamUser) logsCut(t *testing.T) {
	begun := time.Now()
	out, err := s.stream(t, "logs", "-f", streamPod).Output()
	if want := "hello from web\n"; string(out) != want {
		t.Errorf("got %q and %v, want %q and the end", out, err, want)
	}
	t.Logf("cut after %s: %v", time.Since(begun).Round(time.Second), err)
}

// watchSilent sees what happens after a silence.
func watchSilent(t *testing.T, k *kubectlUser, silence time.Duration) {
	k.output(t, "create", "configmap", "before")
	watch := startLines(t, k.command(t, "get", "configmaps", "--watch", "-o", "name"))
	watch.until(t, "^configmap/before$")
	begun := time.Now()
	<-time.After(silence)
	k.output(t, "create", "configmap", "after")
	watch.until(t, "^configmap/after$")
	t.Logf("silent for %s", time.Since(begun).Round(time.Millisecond))
}

// config is kubectl's through nginx.
func (n *nginx) config(t *testing.T) *rest.Config {
	config := shared.ClientConfig(sign(t, person(kubectlPerson)))
	config.Host = n.url + "/kubernetes/cluster"
	config.TLSClientConfig = rest.TLSClientConfig{CAFile: n.caFile}
	return config
}
