package listen

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
	"k8s.io/klog/v2"
)

// certificatePeriod is how often the serving certificates' files are looked at.
const certificatePeriod = 2 * time.Second

// Certificates knows whether the serving certificates on disk are the ones in use. The generic
// server reloads them and keeps the old one where a new one is broken, but tells nobody.
type Certificates struct {
	metrics *Metrics
	files   []certificateFile
	problem atomic.Pointer[string]
}

// certificateFile is what one listener serves with.
type certificateFile struct {
	genericoptions.CertKey

	expiry metrics.GaugeMetric
}

// NewCertificates knows no certificate yet.
func NewCertificates(m *Metrics) *Certificates { return &Certificates{metrics: m} }

// Add takes in what the listener serves with; to be called before Run.
func (c *Certificates) Add(listener string, o *genericoptions.SecureServingOptions) {
	file := certificateFile{CertKey: o.ServerCert.CertKey, expiry: c.metrics.certificateExpiry.WithLabelValues(listener)}
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

// Run looks at the files until ctx is done.
func (c *Certificates) Run(ctx context.Context) {
	wait.UntilWithContext(ctx, func(context.Context) { c.look() }, certificatePeriod)
}

func (c *Certificates) look() {
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
		c.metrics.certificateRejections.Inc()
		klog.ErrorS(err, "Serving certificate refused, the one in use is kept")
	}
}

// Problem says why what is on disk is not in use; empty: it is.
func (c *Certificates) Problem() string {
	if problem := c.problem.Load(); problem != nil {
		return *problem
	}
	return ""
}
