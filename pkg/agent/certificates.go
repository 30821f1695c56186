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

var certificateExpiry = metrics.NewGaugeVec(&metrics.GaugeOpts{
	Namespace:      "loft_agent",
	Name:           "serving_certificate_expiration_timestamp_seconds",
	Help:           "When the serving certificate in use expires, in Unix seconds, by listener: inner or direct.",
	StabilityLevel: metrics.ALPHA,
}, []string{"listener"})

func init() { legacyregistry.MustRegister(certificateRejections, certificateExpiry) }

// certificates knows whether the serving certificates on disk are the ones in use. The generic
// server reloads them and keeps the old one where a new one is broken, but tells nobody.
type certificates struct {
	files   []certificateFile
	problem atomic.Pointer[string]
}

// certificateFile is what one listener serves with.
type certificateFile struct {
	genericoptions.CertKey

	expiry metrics.GaugeMetric
}

func newCertificates(inner, direct *genericoptions.SecureServingOptions) *certificates {
	c := &certificates{}
	c.add("inner", inner)
	if direct.BindPort != 0 {
		c.add("direct", direct)
	}
	return c
}

func (c *certificates) add(listener string, o *genericoptions.SecureServingOptions) {
	file := certificateFile{CertKey: o.ServerCert.CertKey, expiry: certificateExpiry.WithLabelValues(listener)}
	if file.CertFile != "" {
		c.files = append(c.files, file)
	} else if generated := o.ServerCert.GeneratedCert; generated != nil {
		if pair, err := tls.X509KeyPair(generated.CurrentCertKeyContent()); err == nil {
			file.setExpiry(&pair)
		}
	}
}

func (f *certificateFile) setExpiry(pair *tls.Certificate) {
	f.expiry.Set(float64(pair.Leaf.NotAfter.Unix()))
}

// run looks at the files until ctx is done.
func (c *certificates) run(ctx context.Context) {
	wait.UntilWithContext(ctx, func(context.Context) { c.look() }, certificatePeriod)
}

func (c *certificates) look() {
	var errs []error
	for i := range c.files {
		file := &c.files[i]
		pair, err := tls.LoadX509KeyPair(file.CertFile, file.KeyFile)
		if err != nil {
			errs = append(errs, fmt.Errorf("serving certificate %q: %w", file.CertFile, err))
			continue
		}
		file.setExpiry(&pair)
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
