package bench

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"loft.sh/agent/test/bench/load"
	"loft.sh/agent/test/bench/target"
)

// Options of a run.
type Options struct {
	// Rounds that count; one before them does not.
	Rounds int `json:"rounds"`
	// Duration of one cell in one round; long operations make it longer.
	Duration time.Duration `json:"duration"`
	// Work, Clients, Concurrency and Targets select cells; Direct is always measured.
	Work        []string `json:"work"`
	Clients     []string `json:"clients"`
	Concurrency []int    `json:"concurrency"`
	Targets     []string `json:"targets"`
	// AgentArgs are added to the agent's flags.
	AgentArgs []string `json:"agentArgs,omitempty"`
	// IdleWatches is how many watches are held open at once.
	IdleWatches int `json:"idleWatches"`
	// ProfileTime is how long the agent's CPU profile takes, per profiled work; 0: no profile.
	ProfileTime time.Duration `json:"profileTime"`
	// Profiles is the directory that the agent's profiles go to.
	Profiles string `json:"-"`
	// profiled are the kinds of work that the agent's CPU is profiled under.
	profiled []string
	// Dir keeps the control plane.
	Dir string `json:"-"`
	// Log takes what is done, for people.
	Log io.Writer `json:"-"`
}

// DefaultOptions are those of a full run.
func DefaultOptions() Options {
	return Options{
		Rounds: 40, Duration: 50 * time.Millisecond,
		Work: workNames(), Clients: []string{string(load.HTTP2), string(load.HTTP1)},
		Concurrency: []int{1, 16}, Targets: target.DefaultNames(),
		IdleWatches: 1000, ProfileTime: 5 * time.Second,
		profiled: []string{"get", "list-500", "list-20m", "create-delete"},
	}
}

// Quick makes the run about a minute long: fewer rounds, and clients of one protocol.
func (o *Options) Quick() {
	o.Rounds = 20
	o.Clients = []string{string(load.HTTP2)}
	o.ProfileTime = 3 * time.Second
	o.profiled = []string{"get"}
}

// Validate reports every error.
func (o *Options) Validate() error {
	var errs []error
	if o.Rounds < 1 {
		errs = append(errs, fmt.Errorf("--rounds: %d, at least 1 is needed", o.Rounds))
	}
	if o.Duration <= 0 {
		errs = append(errs, fmt.Errorf("--duration: %s is not positive", o.Duration))
	}
	for _, c := range o.Concurrency {
		if c < 1 || c > 256 {
			errs = append(errs, fmt.Errorf("--concurrency: %d is not in 1 to 256", c))
		}
	}
	if o.IdleWatches < 1 || o.IdleWatches > 5000 {
		errs = append(errs, fmt.Errorf("--idle-watches: %d is not in 1 to 5000", o.IdleWatches))
	}
	errs = append(errs,
		known("--work", o.Work, workNames()),
		known("--clients", o.Clients, []string{string(load.HTTP2), string(load.HTTP1)}),
		known("--targets", o.Targets, target.Names()))
	return errors.Join(errs...)
}

func known(flag string, given, names []string) error {
	for _, name := range given {
		if !slices.Contains(names, name) {
			return fmt.Errorf("%s: %q is not one of %s", flag, name, strings.Join(names, ", "))
		}
	}
	return nil
}
