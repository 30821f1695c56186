package authn

import (
	"fmt"

	"github.com/spf13/pflag"
	"k8s.io/utils/clock"
)

// Options configures who may come in.
type Options struct {
	// ConfigFile holds an AuthenticationConfiguration; empty: there are no OIDC providers.
	ConfigFile string
	// FailureBurst and FailureQPS limit failed attempts of one address.
	FailureBurst int
	FailureQPS   float64
}

// NewOptions returns the defaults: twenty failures at once and one every two seconds.
func NewOptions() *Options { return &Options{FailureBurst: 20, FailureQPS: 0.5} }

// AddFlags adds the flags.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.ConfigFile, "authentication-config", o.ConfigFile,
		"File with an AuthenticationConfiguration of apiserver.config.k8s.io: the OIDC providers whose tokens are taken, with "+
			"the API server's own fields. It is read again when it changes. Default: none.")
	fs.IntVar(&o.FailureBurst, "authentication-failure-burst", o.FailureBurst,
		"How many attempts to authenticate may fail at once from one address, or one IPv6 network of 64 bits, before further ones are answered with 429. "+
			"Access keys that are good are let in regardless.")
	fs.Float64Var(&o.FailureQPS, "authentication-failure-qps", o.FailureQPS,
		"How many attempts to authenticate may fail per second from one address in the long run.")
}

// Validate returns every fault at once.
func (o *Options) Validate() []error {
	var errs []error
	if o.FailureBurst < 1 {
		errs = append(errs, fmt.Errorf("--authentication-failure-burst: %d lets nobody try; want 1 or more", o.FailureBurst))
	}
	if o.FailureQPS <= 0 {
		errs = append(errs, fmt.Errorf("--authentication-failure-qps: %v never lets anybody try again; want more than 0", o.FailureQPS))
	}
	if o.ConfigFile != "" {
		if _, err := readConfig(o.ConfigFile); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// NewLimiter returns the limit that o describes.
func (o *Options) NewLimiter() *Limiter {
	return NewLimiter(o.FailureBurst, o.FailureQPS, clock.RealClock{})
}
