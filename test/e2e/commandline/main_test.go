// Package commandline tests the command line with the real kubectl on a whole installation: the
// documented journey, many at once, and the doctor.
//
// What surprises: the tests share one installation and run in the order of their names' files; the
// journey ends with alice's key revoked, so the others use a person of their own.
package commandline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"

	"loft.sh/agent/test/journey"
	"loft.sh/agent/test/sandbox/central"
)

var (
	shared *central.Central
	trip   *journey.Journey
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "loft-commandline-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var out io.Writer = os.Stderr
	if trip, err = journey.New(context.Background(), dir, out); err != nil {
		return 1, err
	}
	options := trip.Options()
	options.Clusters[0].Nodes = 1 // the doctor forwards a port
	if shared, err = central.Start(context.Background(), options); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, shared.Stop()) }()
	return m.Run(), nil
}

// TestJourney is what "make demo" shows.
func TestJourney(t *testing.T) {
	if err := trip.Run(t.Context(), shared); err != nil {
		t.Fatal(err)
	}
}
