package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/klog/v2"
)

// certificatePeriod is how often the serving certificates' files are looked at.
const certificatePeriod = 2 * time.Second

var certificateRejections = metrics.NewCounter(&metrics.CounterOpts{
	Namespace:      "loft_agent",
	Name:           "serving_certificate_rejections_total",
	Help:           "Serving certificates that could not be used, so that the one before was kept.",
	StabilityLevel: metrics.ALPHA,
})

func init() { legacyregistry.MustRegister(certificateRejections) }

// certificates knows whether the serving certificates on disk are the ones in use. The generic
// server reloads them and keeps the old one where a new one is broken, but tells nobody.
type certificates struct {
	files   []genericoptions.CertKey
	problem atomic.Pointer[string]
}

func newCertificates(options ...*genericoptions.SecureServingOptions) *certificates {
	c := &certificates{}
	for _, o := range options {
		if pair := o.ServerCert.CertKey; pair.CertFile != "" {
			c.files = append(c.files, pair)
		}
	}
	return c
}

// run looks at the files until ctx is done.
func (c *certificates) run(ctx context.Context) {
	wait.UntilWithContext(ctx, func(context.Context) { c.look() }, certificatePeriod)
}

func (c *certificates) look() {
	var errs []error
	for _, pair := range c.files {
		if _, err := tls.LoadX509KeyPair(pair.CertFile, pair.KeyFile); err != nil {
			errs = append(errs, fmt.Errorf("serving certificate %q: %w", pair.CertFile, err))
		}
	}
	err := errors.Join(errs...)
	if err == nil {
		c.problem.Store(nil)
		return
	}
	problem := err.Error()
	if before := c.problem.Swap(&problem); before == nil || *before != problem {
		certificateRejections.Inc()
		klog.ErrorS(err, "Serving certificate refused, the one in use is kept")
	}
}

// Problem says why what is on disk is not in use; empty: it is.
func (c *certificates) Problem() string {
	if problem := c.problem.Load(); problem != nil {
		return *problem
	}
	return ""
}
