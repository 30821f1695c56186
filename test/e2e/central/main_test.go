// Package central tests an installation as its users meet it: a centre with two replicas of the
// manager, two connected clusters in which it installed the agent, and nothing but HTTP and the real
// kubectl, which know no type of ours.
//
// What surprises: all tests share one installation, started by TestMain. A test makes people of its
// own and undoes what it changes for everybody. Those that stop a manager do not run in parallel, so
// they come before those that do.
package central

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	installation "loft.sh/agent/test/sandbox/central"
)

// The connected clusters. Pods run in the first alone.
const eu, us = "eu", "us"

// shared is the installation of all tests.
var shared *installation.Central

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "loft-central-")
	if err != nil {
		return 1, fmt.Errorf("installation's directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	shared, err = installation.Start(context.Background(), installation.Options{
		Dir: dir, Managers: 2, Log: os.Stderr,
		// A third of the defaults: the tests wait for a lease to end four times.
		ManagerArgs: []string{"--leader-elect-lease-duration=5s", "--leader-elect-renew-deadline=3s", "--leader-elect-retry-period=1s"},
		Clusters:    []installation.ClusterOptions{{Name: eu, Nodes: 1}, {Name: us}},
	})
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, shared.Stop()) }()
	if code = m.Run(); code != 0 {
		for _, manager := range shared.Managers() {
			fmt.Fprintf(os.Stderr, "the last lines of %s:\n%s\n", manager.URL(), manager.Process().Tail(60))
		}
	}
	return code, checkAudit()
}
