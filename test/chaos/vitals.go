package chaos

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"k8s.io/client-go/rest"

	"loft.sh/agent/test/sandbox"
)

// Vitals is what an agent uses at a moment.
type Vitals struct {
	Goroutines, Files int
	// Resident is memory in bytes.
	Resident int64
}

// MiB is resident memory in MiB.
func (v Vitals) MiB() float64 { return float64(v.Resident) / (1 << 20) }

func (v Vitals) String() string {
	return fmt.Sprintf("%d goroutines, %d files, %.0f MiB", v.Goroutines, v.Files, v.MiB())
}

// Vitals reads an agent's. The API server must be there: it says that we may look, and a new agent
// has yet to learn by whose certificates.
func (e *Env) Vitals(ctx context.Context, agent *sandbox.Replica) (Vitals, error) {
	var body string
	var err error
	if _, late := Await(ctx, "the agent's metrics", 10*time.Second, func(ctx context.Context) bool {
		body, err = e.inner(ctx, agent, "/metrics")
		return err == nil
	}); late != nil {
		return Vitals{}, errors.Join(late, err)
	}
	var v Vitals
	lines := bufio.NewScanner(strings.NewReader(body))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "go_goroutines "); ok {
			v.Goroutines, err = strconv.Atoi(value)
		}
	}
	if err = errors.Join(err, lines.Err()); err != nil || v.Goroutines == 0 {
		return Vitals{}, fmt.Errorf("goroutines of the agent: no such metric: %w", err)
	}
	if v.Files, v.Resident, err = processVitals(agent.Process().PID()); err != nil {
		return Vitals{}, err
	}
	return v, nil
}

// dumped is how much of a dump of goroutines a check shows, in bytes; the most frequent come first.
const dumped = 4 << 10

// Goroutines is the beginning of the agent's dump of goroutines, equal ones counted, for what a
// check says about a leak. The whole lies beside the agent's log.
func (e *Env) Goroutines(ctx context.Context, agent *sandbox.Replica) string {
	dump, err := e.inner(ctx, agent, "/debug/pprof/goroutine?debug=1")
	if err != nil {
		return err.Error()
	}
	path := filepath.Join(agent.Dir(), "goroutines")
	if err := os.WriteFile(path, []byte(dump), 0o600); err != nil {
		return err.Error()
	}
	return path + ":\n" + dump[:min(dumped, len(dump))]
}

// Resident is an agent's memory in bytes, also where the API server is away.
func Resident(agent *sandbox.Replica) (int64, error) {
	_, resident, err := processVitals(agent.Process().PID())
	return resident, err
}

func processVitals(pid int) (files int, resident int64, err error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return 0, 0, fmt.Errorf("files of the agent: %w", err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, fmt.Errorf("memory of the agent: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return len(entries), kib << 10, err
		}
	}
	return 0, 0, errors.New("memory of the agent: not said")
}

// inner asks the inner listener as an administrator of the cluster, over a connection of its own.
func (e *Env) inner(ctx context.Context, agent *sandbox.Replica, path string) (string, error) {
	config := rest.CopyConfig(e.Sandbox().Cluster().RESTConfig())
	config.CAData, config.CAFile = nil, e.Sandbox().EndpointCA()
	tlsConfig, err := rest.TLSConfigFor(config)
	if err != nil {
		return "", fmt.Errorf("client of the inner listener: %w", err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: tlsConfig, DisableKeepAlives: true}}
	return fetch(ctx, client, agent.InnerURL()+path)
}
