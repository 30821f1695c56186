package commandline

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/test/journey"
)

// person is somebody with a key and a home.
type person struct {
	name, key, home string
}

// newPerson makes somebody who may do everything in the clusters, and logs in.
func newPerson(t *testing.T, name string, clusters ...string) *person {
	t.Helper()
	if err := shared.AddPerson(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	key, err := shared.AddKey(t.Context(), name, storagev1.AccessKeySpec{User: name})
	if err != nil {
		t.Fatal(err)
	}
	if err := shared.Allow(t.Context(), name, clusters...); err != nil {
		t.Fatal(err)
	}
	for _, cluster := range clusters {
		if err := shared.AwaitConditions(t.Context(), cluster, storagev1.ConditionAccessSynced); err != nil {
			t.Fatal(err)
		}
	}
	p := &person{name: name, key: key, home: t.TempDir()}
	p.loft(t, 0, "login", shared.URL(), "--certificate-authority", shared.CAFile(), "--access-key", key)
	return p
}

func (p *person) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "HOME="+p.home, "KUBECONFIG="+filepath.Join(p.home, "kubeconfig"), "LOFT_CONFIG=",
		"KUBECACHEDIR="+filepath.Join(p.home, "cache"), "DBUS_SESSION_BUS_ADDRESS=disabled:")
	return cmd
}

// loft runs the command line, which must end with a code.
func (p *person) loft(t *testing.T, wantCode int, args ...string) string {
	t.Helper()
	cmd := p.command(t.Context(), trip.Loft(), args...)
	out, _ := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != wantCode {
		t.Fatalf("loft %q ended with %d, want %d\n%s", args, code, wantCode, out)
	}
	return string(out)
}

// expire makes the kept token one that was asked for long ago, and ends after so long.
func (p *person) expire(t *testing.T, cluster string, asked time.Duration) {
	t.Helper()
	path := filepath.Join(p.home, ".loft", "config.json")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal(data, &config); err != nil {
		t.Fatal(err)
	}
	token := config["directClusterEndpointTokens"].(map[string]any)[cluster].(map[string]any)
	token["requested"] = time.Now().Add(-asked).Format(time.RFC3339)
	if data, err = json.Marshal(config); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// kubectls runs that many kubectls at once, and returns how long all of them took.
func (p *person) kubectls(t *testing.T, n int) time.Duration {
	t.Helper()
	began := time.Now()
	var wait sync.WaitGroup
	for range n {
		wait.Go(func() {
			var out bytes.Buffer
			cmd := p.command(t.Context(), trip.Kubectl(), "get", "ns")
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Run(); err != nil {
				t.Errorf("kubectl: %v\n%s", err, &out)
			}
		})
	}
	wait.Wait()
	return time.Since(began)
}

// tokensIssued counts the requests for tokens that the manager has recorded of a person.
func tokensIssued(t *testing.T, name string) int {
	t.Helper()
	n := 0
	for _, manager := range shared.Managers() {
		log, err := os.ReadFile(manager.AuditLog())
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(log)) {
			if strings.Contains(line, `"directclusterendpointtokens"`) && strings.Contains(line, `"username":"loft:user:`+name+`"`) &&
				strings.Contains(line, `"stage":"ResponseComplete"`) {
				n++
			}
		}
	}
	return n
}

// TestManyKubectls has fifty kubectls find a token that is to be renewed, and then the manager gone.
func TestManyKubectls(t *testing.T) {
	p := newPerson(t, "many", journey.First)
	p.loft(t, 0, "use", "cluster", journey.First, "--require-direct-cluster-endpoint")
	before := tokensIssued(t, p.name)
	p.expire(t, journey.First, time.Hour)
	took := p.kubectls(t, 50)
	if n := tokensIssued(t, p.name) - before; n != 1 {
		t.Errorf("the manager was asked for %d tokens, want 1", n)
	}
	t.Logf("50 kubectls with a token to be renewed: %.1f s, one request to the manager", took.Seconds())
	for _, manager := range shared.Managers() {
		if err := manager.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	defer func() {
		for _, manager := range shared.Managers() {
			if err := manager.Start(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}()
	p.expire(t, journey.First, time.Hour)
	t.Logf("50 kubectls without the manager: %.1f s", p.kubectls(t, 50).Seconds())
	out, err := p.command(t.Context(), trip.Kubectl(), "get", "ns").CombinedOutput()
	if err != nil || strings.Count(string(out), "[warn]") != 1 || !strings.Contains(string(out), "which is good for another") {
		t.Errorf("kubectl without the manager: %v\n%s", err, out)
	}
}
