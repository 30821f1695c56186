package bench

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"k8s.io/client-go/rest"

	"loft.sh/agent/test/bench/load"
	"loft.sh/agent/test/bench/target"
)

// profileConcurrency is how many workers load the agent meanwhile.
const profileConcurrency = 16

// profiles loads the endpoint once more, and takes the agent's profiles meanwhile.
func (b *bench) profiles(ctx context.Context) error {
	t := target.Find(b.env.Targets, target.Endpoint)
	if b.opts.Profiles == "" || b.opts.ProfileTime < time.Second || t == nil {
		return nil
	}
	if err := os.MkdirAll(b.opts.Profiles, 0o700); err != nil {
		return fmt.Errorf("directory of profiles: %w", err)
	}
	for _, c := range b.cells() {
		if c.concurrency != profileConcurrency || c.protocol != b.protocols()[0] || !slices.Contains(b.opts.profiled, c.name) {
			continue
		}
		client, err := b.client(t, c.protocol)
		if err != nil {
			return err
		}
		if err := b.profileUnder(ctx, c, client); err != nil {
			return err
		}
	}
	return b.fetchProfile(ctx, "heap?gc=1", "heap.pprof")
}

// profileUnder takes a CPU profile while the work is done.
func (b *bench) profileUnder(ctx context.Context, c cell, client *load.Client) error {
	loaded := make(chan error, 1)
	go func() {
		_, err := load.Loop{
			Concurrency: c.concurrency, Duration: b.opts.ProfileTime + 500*time.Millisecond,
			Op: func(ctx context.Context, _ int) error { return c.op(ctx, client) },
		}.Run(ctx)
		loaded <- err
	}()
	err := b.fetchProfile(ctx, fmt.Sprintf("profile?seconds=%d", b.opts.ProfileTime/time.Second), "cpu-"+c.name+".pprof")
	if loadErr := <-loaded; loadErr != nil {
		return loadErr
	}
	return err
}

// fetchProfile stores one of the agent's profiles, asked for on its inner port as an administrator.
func (b *bench) fetchProfile(ctx context.Context, what, name string) error {
	data, err := b.agentDebug(ctx, what)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(b.opts.Profiles, name), data, 0o600); err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	return nil
}

// agentDebug asks the agent for a page below /debug/pprof/.
func (b *bench) agentDebug(ctx context.Context, what string) ([]byte, error) {
	config := b.env.Sandbox.Cluster().RESTConfig()
	config.Host = b.env.Sandbox.InnerURL()
	config.CAData, config.CAFile = nil, b.env.Sandbox.EndpointCA()
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("client of the agent's inner port: %w", err)
	}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, config.Host+"/debug/pprof/"+what, nil)
	if err != nil {
		return nil, fmt.Errorf("profile %s: %w", what, err)
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("profile %s: %w", what, err)
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("profile %s: %w", what, err)
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("profile %s: %s: %.200s", what, res.Status, data)
	}
	return data, nil
}
