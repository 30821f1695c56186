package sleepmode

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Options are sleep mode's flags.
type Options struct {
	// Enabled puts namespaces to sleep and wakes them.
	Enabled bool
	// LeaderElect has one replica do so at a time.
	LeaderElect bool
	// Namespace is the agent's own: the Lease is in it, and it never sleeps.
	Namespace string
	// WakeTimeout is how long a request waits for what sleeps.
	WakeTimeout time.Duration
}

// NewOptions returns the defaults.
func NewOptions() *Options {
	return &Options{Enabled: true, LeaderElect: true, Namespace: "loft", WakeTimeout: time.Minute}
}

// AddFlags adds sleep mode's flags.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	fs.BoolVar(&o.Enabled, "sleep-mode", o.Enabled,
		"Put namespaces to sleep, wake and delete them as their sleepmode.loft.sh annotations say.")
	fs.BoolVar(&o.LeaderElect, "leader-elect", o.LeaderElect,
		"Have one replica at a time put to sleep and wake. Without it there must be one replica alone.")
	fs.StringVar(&o.Namespace, "leader-elect-resource-namespace", o.Namespace,
		"Namespace of the Lease that the leader holds, which is the agent's own: it never sleeps.")
	fs.DurationVar(&o.WakeTimeout, "wake-timeout", o.WakeTimeout,
		"How long a request for a pod or service that sleeps waits until it is ready.")
}

// Validate returns every fault at once.
func (o *Options) Validate() []error {
	var errs []error
	for _, reason := range validation.IsDNS1123Label(o.Namespace) {
		errs = append(errs, fmt.Errorf("--leader-elect-resource-namespace: %s", reason))
	}
	if o.WakeTimeout < 0 || o.WakeTimeout > 10*time.Minute {
		errs = append(errs, errors.New("--wake-timeout: must be between 0 and 10m"))
	}
	return errs
}
