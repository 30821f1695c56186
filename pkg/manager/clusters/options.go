package clusters

import (
	"fmt"
	"time"

	"github.com/spf13/pflag"
)

const (
	minResync  = 10 * time.Second
	minTimeout = time.Second
	maxWorkers = 1000
)

// Options configure how connected clusters are kept.
type Options struct {
	// AgentImage is that of agents whose Cluster names none; empty: the manifests' own.
	AgentImage string
	// Workers is how many clusters are worked on at once by each kind of work.
	Workers int
	// ResyncPeriod is about how often a cluster is looked at where nothing changed.
	ResyncPeriod time.Duration
	// RequestTimeout bounds each request to a cluster or an endpoint.
	RequestTimeout time.Duration
	// ProbePeriod is about how often an endpoint is asked.
	ProbePeriod time.Duration
	// RemovalTimeout is how long taking the agent out of a cluster is tried before its Cluster goes
	// without; 0: for ever.
	RemovalTimeout time.Duration
}

// NewOptions returns the defaults.
func NewOptions() *Options {
	return &Options{
		Workers: 100, ResyncPeriod: 3 * time.Minute, RequestTimeout: 10 * time.Second, ProbePeriod: 30 * time.Second,
		RemovalTimeout: time.Hour,
	}
}

// AddFlags adds the flags.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.AgentImage, "agent-image", o.AgentImage,
		"Image of the agents that the manager installs, unless spec.agent.image of the Cluster names another. Default: that of the manager's manifests for the agent.")
	fs.IntVar(&o.Workers, "concurrent-cluster-syncs", o.Workers,
		"Connected clusters that are worked on at once, for each kind of work: agent, trust, access, endpoint.")
	fs.DurationVar(&o.ResyncPeriod, "cluster-resync-period", o.ResyncPeriod,
		"About how often a connected cluster is looked at where nothing changed, to repair what was changed there.")
	fs.DurationVar(&o.RequestTimeout, "cluster-request-timeout", o.RequestTimeout,
		"Longest time that a request to a connected cluster, or the probe of a direct endpoint, may take.")
	fs.DurationVar(&o.ProbePeriod, "endpoint-probe-period", o.ProbePeriod, "About how often a direct endpoint is probed.")
	fs.DurationVar(&o.RemovalTimeout, "cluster-removal-timeout", o.RemovalTimeout,
		"How long to try to take the agent out of a cluster whose Cluster is being deleted, until the Cluster goes and the agent stays behind. "+
			"0 tries for ever. At once: annotate the Cluster with loft.sh/force-delete=true.")
}

// Validate returns every fault at once.
func (o *Options) Validate() []error {
	var errs []error
	if o.Workers < 1 || o.Workers > maxWorkers {
		errs = append(errs, fmt.Errorf("--concurrent-cluster-syncs: %d is not between 1 and %d", o.Workers, maxWorkers))
	}
	for flag, value := range map[string]struct{ is, least time.Duration }{
		"cluster-resync-period":   {o.ResyncPeriod, minResync},
		"cluster-request-timeout": {o.RequestTimeout, minTimeout},
		"endpoint-probe-period":   {o.ProbePeriod, minTimeout},
	} {
		if value.is < value.least {
			errs = append(errs, fmt.Errorf("--%s: %s is shorter than %s", flag, value.is, value.least))
		}
	}
	if o.RemovalTimeout < 0 {
		errs = append(errs, fmt.Errorf("--cluster-removal-timeout: %s is negative; 0 tries for ever", o.RemovalTimeout))
	}
	return errs
}

// ApplyTo fills in a Config.
func (o *Options) ApplyTo(c *Config) error {
	c.Options = *o
	return nil
}
