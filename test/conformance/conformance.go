package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// Options of a run.
type Options struct {
	// Dir takes the cluster, the suite's logs and its reports; required.
	Dir string
	// Specs are those to run.
	Specs []Spec
	// Processes is how many of the suite run side by side.
	Processes int
	// Out takes the lists and the difference, Log the progress.
	Out, Log io.Writer
}

// Run runs the specs both ways and writes both lists and the difference. It returns an error when
// there is a difference, and when a spec fails both ways.
func Run(ctx context.Context, opts Options) (err error) {
	suite, err := BuildSuite(ctx, opts.Log)
	if err != nil {
		return err
	}
	if opts.Dir, err = filepath.Abs(opts.Dir); err != nil {
		return fmt.Errorf("directory of the run: %w", err)
	}
	if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
		return fmt.Errorf("directory of the run: %w", err)
	}
	c, err := startCluster(ctx, filepath.Join(opts.Dir, "sandbox"), opts.Log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	r := &run{cluster: c, opts: opts, suite: suite}
	direct, endpoint, err := r.both(ctx, "", opts.Specs)
	if err != nil {
		return err
	}
	if direct, endpoint, err = r.again(ctx, direct, endpoint); err != nil {
		return err
	}
	writeList(opts.Out, wayDirect, direct)
	writeList(opts.Out, wayEndpoint, endpoint)
	comparison := compare(direct, endpoint, exceptions)
	comparison.write(opts.Out, direct, endpoint)
	return comparison.Err()
}

// The two ways, and their order: a spec that is broken in itself is known before the endpoint's turn.
const (
	wayDirect   = "direct"
	wayEndpoint = "endpoint"
)

type run struct {
	*cluster
	opts  Options
	suite string
}

// both runs the specs one way after the other: what they do to the whole cluster would meet.
func (r *run) both(ctx context.Context, attempt string, specs []Spec) (direct, endpoint Results, err error) {
	if direct, err = r.pass(wayDirect, attempt, r.direct).Run(ctx, specs); err != nil {
		return nil, nil, err
	}
	if endpoint, err = r.pass(wayEndpoint, attempt, r.endpoint).Run(ctx, specs); err != nil {
		return nil, nil, err
	}
	return direct, endpoint, nil
}

func (r *run) pass(way, attempt, kubeconfig string) Pass {
	return Pass{
		Name: way + attempt, Suite: r.suite, Kubectl: r.Cluster().Binaries().Kubectl, Kubeconfig: kubeconfig,
		Dir: r.opts.Dir, Processes: r.opts.Processes, Log: r.opts.Log,
	}
}

// again runs what did not pass both ways once more, both ways, and says so: a spec that waits
// for seconds fails on a busy machine now and then. What fails for a reason fails again.
func (r *run) again(ctx context.Context, direct, endpoint Results) (Results, Results, error) {
	comparison := compare(direct, endpoint, exceptions)
	unsure := slices.Concat(comparison.Different, comparison.Broken)
	if len(unsure) == 0 {
		return direct, endpoint, nil
	}
	fmt.Fprintf(r.opts.Out, "\n== %d specs did not pass both ways at the first attempt and run again, both ways\n", len(unsure))
	comparison.write(r.opts.Out, direct, endpoint)
	secondDirect, secondEndpoint, err := r.both(ctx, "-again", unsure)
	if err != nil {
		return nil, nil, err
	}
	maps.Copy(direct, secondDirect)
	maps.Copy(endpoint, secondEndpoint)
	return direct, endpoint, nil
}
