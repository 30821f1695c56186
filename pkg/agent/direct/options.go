package direct

import (
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"loft.sh/agent/pkg/listen"
)

// Options configures the two outer listeners and what goes through them.
type Options struct {
	*listen.OuterOptions
	// PingPeriod and IdleTimeout are those of exec, attach, port-forward and other connections that
	// switched protocols.
	PingPeriod, IdleTimeout time.Duration
}

// defaultPingPeriod is well below the minute after which load balancers end a silent connection.
const defaultPingPeriod = 25 * time.Second

// NewOptions returns the defaults: HTTPS on 10443, HTTP on 8080.
func NewOptions() *Options {
	return &Options{OuterOptions: listen.NewOuterOptions("direct"), PingPeriod: defaultPingPeriod}
}

// AddFlags adds the flags, those of the HTTPS listener under the usual names with "direct-" before.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	o.OuterOptions.AddFlags(fs)
	o.AddClientCAFlag(fs, "Client certificates signed by a CA in this file are taken on the direct HTTPS port. Default: none are; "+
		"the host cluster's own client CA opens nothing there.")
	fs.DurationVar(&o.PingPeriod, "streaming-ping-period", o.PingPeriod,
		"How long an exec, attach or port-forward may be silent towards the client until it is pinged, "+
			"so that no load balancer takes it for dead. 0: never.")
	fs.DurationVar(&o.IdleTimeout, "streaming-connection-idle-timeout", o.IdleTimeout,
		"How long an exec, attach or port-forward may be idle, pings aside, before it is closed. 0: for ever. "+
			"Goes for new connections; streamingConnectionIdleTimeoutSeconds in the trust bundle goes before it.")
}

// Validate returns every fault at once.
func (o *Options) Validate() []error {
	errs := o.OuterOptions.Validate()
	for name, value := range map[string]time.Duration{
		"--streaming-ping-period": o.PingPeriod, "--streaming-connection-idle-timeout": o.IdleTimeout,
	} {
		if value < 0 || value > 0 && value < time.Second {
			errs = append(errs, fmt.Errorf("%s: %s is too short; want 0, or a second at least", name, value))
		}
	}
	return errs
}
