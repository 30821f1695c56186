package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	env := &Env{Short: opts.Short, Dir: opts.Dir, Log: opts.Log, cluster: &cluster{sandbox: s, admin: admin}}
	var outcomes []Outcome
	for _, row := range rows {
		if ctx.Err() != nil {
			return outcomes, ctx.Err()
		}
		outcomes = append(outcomes, runRow(ctx, env.forRow(row.Name), row))
	}
	return outcomes, nil
}

func runRow(ctx context.Context, env *Env, row Row) Outcome {
	env.Logf("%s", row.Fault)
	began := time.Now()
	result, err := row.Run(ctx, env)
	err = errors.Join(err, env.end())
	outcome := newOutcome(row, result, err, time.Since(began))
	env.Logf("%s after %.1f s", outcome.Verdict, outcome.Seconds)
	return outcome
}
