package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"loft.sh/agent/test/bench/load"
	"loft.sh/agent/test/bench/result"
	"loft.sh/agent/test/bench/target"
)

// clientGC is the garbage collector's target while a cell runs: the client shares the cores with what
// is measured.
const clientGC = 800

const (
	// othersEvery is the number of rounds in which nginx and kubectl proxy are measured once.
	othersEvery = 2
	// slowEvery is the number of rounds in which slow work is measured once.
	slowEvery = 4
)

// bench is a run under way.
type bench struct {
	opts    Options
	env     *target.Env
	clients map[clientKey]*load.Client
	result  *result.Run
}

type clientKey struct {
	target   string
	protocol load.Protocol
}

// Run starts everything, measures and stops everything.
func Run(ctx context.Context, opts Options) (_ *result.Run, err error) {
	defer debug.SetGCPercent(debug.SetGCPercent(clientGC))
	env, err := target.Start(ctx, target.Options{Dir: opts.Dir, Targets: opts.Targets, AgentArgs: opts.AgentArgs, Log: opts.Log})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, env.Stop()) }()
	b := &bench{
		opts: opts, env: env, clients: map[clientKey]*load.Client{},
		result: &result.Run{
			Started: time.Now(), Machine: machine(), Settings: opts, Notices: env.Notices, Own: map[string]int{},
		},
	}
	defer b.closeClients()
	for _, phase := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"idle watches", b.idleWatches},
		{"rounds", b.rounds},
		{"watches", b.watches},
		{"profiles", b.profiles},
	} {
		began := time.Now()
		if err := phase.do(ctx); err != nil {
			return nil, fmt.Errorf("bench: %s: %w", phase.what, err)
		}
		b.logf("bench: %s (%.1fs)", phase.what, time.Since(began).Seconds())
	}
	b.result.Seconds = time.Since(b.result.Started).Seconds()
	b.result.Summarise()
	return b.result, nil
}

func (b *bench) logf(format string, args ...any) {
	_, _ = fmt.Fprintf(b.opts.Log, format+"\n", args...)
}

// client returns the client for a target, made once and kept: its connections stay warm.
func (b *bench) client(t *target.Target, protocol load.Protocol) (*load.Client, error) {
	key := clientKey{t.Name, protocol}
	if c := b.clients[key]; c != nil {
		return c, nil
	}
	c, err := t.Client(protocol)
	if err != nil {
		return nil, err
	}
	b.clients[key] = c
	return c, nil
}

func (b *bench) closeClients() {
	for _, c := range b.clients {
		c.Close()
	}
}

// rotated are the targets of a round, in another order each time. Those that the endpoint is not
// judged by take part in every second round: the time goes to those that it is.
func (b *bench) rotated(round int) []*target.Target {
	targets := b.env.Targets
	if round > 0 && round%othersEvery == 0 {
		targets = slices.DeleteFunc(slices.Clone(targets), func(t *target.Target) bool {
			return t.Name != target.Direct && t.Name != target.Endpoint
		})
	}
	first := (round/othersEvery + round/slowEvery) % len(targets)
	return slices.Concat(targets[first:], targets[:first])
}

func (b *bench) protocols() []load.Protocol {
	protocols := make([]load.Protocol, 0, len(b.opts.Clients))
	for _, c := range b.opts.Clients {
		protocols = append(protocols, load.Protocol(c))
	}
	return protocols
}

func (b *bench) wants(work string) bool { return slices.Contains(b.opts.Work, work) }

// machine says where this runs.
func machine() result.Machine {
	m := result.Machine{CPUs: runtime.NumCPU(), Go: runtime.Version()}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		m.Kernel = unix.ByteSliceToString(name.Release[:])
	}
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			m.Model = strings.TrimSpace(value)
			break
		}
	}
	return m
}
