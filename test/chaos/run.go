package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"

	"loft.sh/agent/test/sandbox"
)

// goaway is the share of requests over HTTP/2 after which the shared API server asks for another
// connection, as managed ones do to spread load; theirs is a hundredth of it.
const goaway = "--goaway-chance=0.02"

// Options of a run.
type Options struct {
	// Dir keeps the sandbox and what rows leave; required.
	Dir string
	// Short asks for seconds instead of minutes.
	Short bool
	// Parallel runs rows at the same time that leave the API server alone.
	Parallel bool
	// Log takes what goes on; nil means silence.
	Log io.Writer
}

// Run starts a cluster, runs rows in it one after the other, and returns what came of each.
func Run(ctx context.Context, rows []Row, opts Options) (_ []Outcome, err error) {
	if opts.Log == nil {
		opts.Log = io.Discard
	}
	s, err := sandbox.Start(ctx, sandbox.Options{Dir: opts.Dir, Nodes: 1, APIServerArgs: []string{goaway}, Log: opts.Log})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	admin, err := kubernetes.NewForConfig(s.Cluster().RESTConfig())
	if err != nil {
		return nil, fmt.Errorf("client of the cluster: %w", err)
	}
	env := &Env{Short: opts.Short, Dir: opts.Dir, Log: &serialWriter{w: opts.Log}, cluster: &cluster{sandbox: s, admin: admin}}
	return env.run(ctx, rows, opts.Parallel)
}

// run runs rows in their order; in parallel, those that need the cluster for themselves first.
func (e *Env) run(ctx context.Context, rows []Row, parallel bool) ([]Outcome, error) {
	outcomes := make([]Outcome, len(rows))
	var group sync.WaitGroup
	for i, row := range rows {
		if parallel && !row.Alone {
			continue
		}
		if ctx.Err() != nil {
			return outcomes[:i], ctx.Err()
		}
		outcomes[i] = RunRow(ctx, e.forRow(row.Name), row)
	}
	for i, row := range rows {
		if parallel && !row.Alone {
			group.Go(func() { outcomes[i] = RunRow(ctx, e.forRow(row.Name), row) })
		}
	}
	group.Wait()
	return outcomes, ctx.Err()
}

// RunRow runs one row, undoes what it did, and says what came of it.
func RunRow(ctx context.Context, env *Env, row Row) Outcome {
	env.Logf("%s", row.Fault)
	began := time.Now()
	result, err := row.Run(ctx, env)
	err = errors.Join(err, env.end())
	outcome := newOutcome(row, result, err, time.Since(began))
	env.Logf("%s after %.1f s", outcome.Verdict, outcome.Seconds)
	return outcome
}

// serialWriter lets one row write at a time.
type serialWriter struct {
	lock sync.Mutex
	w    io.Writer
}

func (s *serialWriter) Write(p []byte) (int, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.w.Write(p)
}
