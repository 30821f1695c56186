package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"golang.org/x/sync/errgroup"

	"loft.sh/agent/test/controlplane"
)

const (
	// suiteTimeout bounds one process of the suite.
	suiteTimeout = 90 * time.Minute
	// stopGrace is how long a process of the suite may take to undo what it did.
	stopGrace        = 30 * time.Second
	progressInterval = time.Minute
)

// Pass is one run of specs one way.
type Pass struct {
	// Name of the way, such as direct.
	Name string
	// Suite and Kubectl are paths of programs.
	Suite, Kubectl string
	Kubeconfig     string
	// Dir takes logs and reports.
	Dir string
	// Processes is how many run side by side.
	Processes int
	Log       io.Writer
}

// Run runs the specs and returns a result for each.
func (p Pass) Run(ctx context.Context, specs []Spec) (Results, error) {
	begun := time.Now()
	results := Results{}
	parallel, serial := split(specs, p.Processes)
	stages := [][][]Spec{parallel}
	if len(serial) > 0 {
		stages = append(stages, [][]Spec{serial})
	}
	number := 0
	for _, lists := range stages {
		found := make([]Results, len(lists))
		var group errgroup.Group
		for i, list := range lists {
			number++
			process := fmt.Sprintf("%s-%d", p.Name, number)
			group.Go(func() (err error) {
				found[i], err = p.runProcess(ctx, process, list)
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return nil, fmt.Errorf("pass %s: %w", p.Name, err)
		}
		for _, f := range found {
			maps.Copy(results, f)
		}
	}
	passed, failed := results.count()
	fmt.Fprintf(p.Log, "%s: %d passed, %d did not, in %s\n", p.Name, passed, failed, time.Since(begun).Round(time.Second))
	return results, nil
}

// runProcess runs one process of the suite to its end.
func (p Pass) runProcess(ctx context.Context, name string, specs []Spec) (Results, error) {
	dir := filepath.Join(p.Dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("directory of %s: %w", name, err)
	}
	report := filepath.Join(dir, "report.json")
	fmt.Fprintf(p.Log, "%s: %d specs\n", name, len(specs))
	process, err := controlplane.StartProcess(controlplane.ProcessConfig{
		Name: name, Path: p.Suite, Args: p.args(dir, report, specs), Dir: dir,
		Env:     []string{"HOME=" + dir, "KUBECACHEDIR=" + filepath.Join(dir, "cache")},
		LogFile: filepath.Join(dir, "log"),
	})
	if err != nil {
		return nil, err
	}
	if err := p.await(ctx, process, len(specs)); err != nil {
		return nil, err
	}
	// The status is not asked for: a spec that fails is a result.
	results, err := readReport(report, specs)
	if err != nil {
		return nil, errors.Join(err, process.Err())
	}
	return results, nil
}

func (p Pass) args(dir, report string, specs []Spec) []string {
	args := []string{
		"--kubeconfig=" + p.Kubeconfig,
		"--kubectl-path=" + p.Kubectl,
		"--provider=skeleton",
		"--num-nodes=1",
		"--allowed-not-ready-nodes=-1",
		"--disable-log-dump",
		"--report-dir=" + dir,
		"--ginkgo.json-report=" + report,
		"--ginkgo.no-color",
		"--ginkgo.timeout=" + suiteTimeout.String(),
	}
	for _, spec := range specs {
		args = append(args, "--ginkgo.focus="+regexp.QuoteMeta(string(spec))+"$")
	}
	return args
}

// await waits for the end of a process and says now and then how far it is.
func (p Pass) await(ctx context.Context, process *controlplane.Process, specs int) error {
	ticker := time.NewTicker(progressInterval)
	defer ticker.Stop()
	for {
		select {
		case <-process.Done():
			return nil
		case <-ctx.Done():
			return errors.Join(ctx.Err(), process.Stop(stopGrace))
		case <-ticker.C:
			fmt.Fprintf(p.Log, "%s: %d of %d specs\n", process.Name(), finished(process.LogFile()), specs)
		}
	}
}

// finished counts the specs that a log shows as run.
func finished(log string) int {
	data, err := os.ReadFile(log)
	if err != nil {
		return 0 // it serves the progress alone
	}
	return bytes.Count(data, []byte("•"))
}

func (r Results) count() (passed, failed int) {
	for _, result := range r {
		if result.Passed {
			passed++
		} else {
			failed++
		}
	}
	return passed, failed
}
