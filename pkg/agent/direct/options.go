package direct

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	genericserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	genericoptions "k8s.io/apiserver/pkg/server/options"

	"loft.sh/agent/pkg/doors"
)

// flagPrefix tells the outer HTTPS listener's serving flags from the inner one's.
const flagPrefix = "direct-"

// ownFlags makes the help of a serving flag name the outer listener's flags.
var ownFlags = strings.NewReplacer("--secure-port", "--direct-secure-port", "--tls-", "--direct-tls-",
	"a self-signed certificate and key are generated for the public address and saved to the directory specified by --cert-dir",
	"the certificate of the inner listener is served")

// Options configures the two outer listeners.
type Options struct {
	// Serving is the HTTPS listener.
	Serving *genericoptions.SecureServingOptions
	// InsecureBindAddress and InsecurePort are the HTTP listener's, which belongs behind an
	// ingress that ends TLS. Port 0: no such listener.
	InsecureBindAddress net.IP
	InsecurePort        int
	// ClientCAFile names the CA whose client certificates are taken; empty: none are.
	ClientCAFile string
	// TrustedProxies are CIDRs of proxies whose X-Forwarded-For counts.
	TrustedProxies []string
	// PingPeriod and IdleTimeout are those of exec, attach, port-forward and other connections that
	// switched protocols.
	PingPeriod, IdleTimeout time.Duration
}

// defaultPingPeriod is well below the minute after which load balancers end a silent connection.
const defaultPingPeriod = 25 * time.Second

// NewOptions returns the defaults: HTTPS on 10443, HTTP on 8080.
func NewOptions() *Options {
	o := &Options{Serving: genericoptions.NewSecureServingOptions(), InsecureBindAddress: net.IPv4zero, InsecurePort: 8080,
		PingPeriod: defaultPingPeriod}
	o.Serving.BindPort = 10443
	o.Serving.ServerCert.CertDirectory = ""
	return o
}

// AddFlags adds the flags, those of the HTTPS listener under the usual names with "direct-" before.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	serving := pflag.NewFlagSet("", pflag.ContinueOnError)
	o.Serving.AddFlags(serving)
	serving.VisitAll(func(f *pflag.Flag) {
		if f.Name == "cert-dir" {
			return // where no certificate is given, the inner listener's is served
		}
		f.Usage = ownFlags.Replace(f.Usage)
		f.Name = flagPrefix + f.Name
		fs.AddFlag(f)
	})
	fs.IPVar(&o.InsecureBindAddress, "direct-insecure-bind-address", o.InsecureBindAddress,
		"The IP address on which plain HTTP is served to an ingress that ends TLS.")
	fs.IntVar(&o.InsecurePort, "direct-insecure-port", o.InsecurePort,
		"The port on which plain HTTP is served to an ingress that ends TLS. 0: no such listener.")
	fs.StringVar(&o.ClientCAFile, "direct-client-ca-file", o.ClientCAFile,
		"Client certificates signed by a CA in this file are taken on the direct HTTPS port. Default: none are; "+
			"the host cluster's own client CA opens nothing there.")
	fs.StringSliceVar(&o.TrustedProxies, "direct-trusted-proxies", o.TrustedProxies,
		"Networks (CIDR) of the proxies in front whose X-Forwarded-For header is believed. Default: nobody's.")
	fs.DurationVar(&o.PingPeriod, "streaming-ping-period", o.PingPeriod,
		"How long an exec, attach or port-forward may be silent towards the client until it is pinged, "+
			"so that no load balancer takes it for dead. 0: never.")
	fs.DurationVar(&o.IdleTimeout, "streaming-connection-idle-timeout", o.IdleTimeout,
		"How long an exec, attach or port-forward may be idle, pings aside, before it is closed. 0: for ever. "+
			"Goes for new connections; streamingConnectionIdleTimeoutSeconds in the trust bundle goes before it.")
}

// DefaultServing takes the certificate of the inner listener where none was given.
func (o *Options) DefaultServing(inner *genericoptions.SecureServingOptions) {
	own := &o.Serving.ServerCert
	if own.CertKey.CertFile == "" && own.CertKey.KeyFile == "" && own.GeneratedCert == nil {
		own.CertKey, own.GeneratedCert = inner.ServerCert.CertKey, inner.ServerCert.GeneratedCert
	}
}

// Validate returns every fault at once.
func (o *Options) Validate() []error {
	var errs []error
	for _, err := range o.Serving.Validate() {
		errs = append(errs, fmt.Errorf("direct endpoint: %w", err))
	}
	if o.InsecurePort < 0 || o.InsecurePort > 65535 {
		errs = append(errs, fmt.Errorf("--direct-insecure-port: %d is not a port; want 0 to 65535", o.InsecurePort))
	}
	if o.Serving.BindPort == 0 && o.InsecurePort == 0 {
		errs = append(errs, errors.New("--direct-secure-port and --direct-insecure-port: one of them must not be 0"))
	}
	if _, err := o.ClientAddresses(); err != nil {
		errs = append(errs, err)
	}
	for name, value := range map[string]time.Duration{
		"--streaming-ping-period": o.PingPeriod, "--streaming-connection-idle-timeout": o.IdleTimeout,
	} {
		if value < 0 || value > 0 && value < time.Second {
			errs = append(errs, fmt.Errorf("%s: %s is too short; want 0, or a second at least", name, value))
		}
	}
	return errs
}

// ClientAddresses reads the trusted proxies.
func (o *Options) ClientAddresses() (doors.ClientAddresses, error) {
	return doors.ParseClientAddresses("direct-trusted-proxies", o.TrustedProxies)
}

// Listeners is what Options opens.
type Listeners struct {
	// Secure is nil where the HTTPS port is 0.
	Secure *genericserver.SecureServingInfo
	// ClientCA is nil where no client certificates are taken.
	ClientCA dynamiccertificates.CAContentProvider
	// Insecure is nil where the HTTP port is 0.
	Insecure net.Listener
}

// Listen opens both listeners.
func (o *Options) Listen() (Listeners, error) {
	var l Listeners
	if err := o.Serving.ApplyTo(&l.Secure); err != nil {
		return l, fmt.Errorf("direct HTTPS listener: %w", err)
	}
	if o.ClientCAFile != "" {
		ca, err := dynamiccertificates.NewDynamicCAContentFromFile("direct-client-ca", o.ClientCAFile)
		if err != nil {
			return l, fmt.Errorf("--direct-client-ca-file: %w", err)
		}
		l.ClientCA = ca
		if l.Secure != nil {
			l.Secure.ClientCA = ca
		}
	}
	if o.InsecurePort == 0 {
		return l, nil
	}
	address := net.JoinHostPort(o.InsecureBindAddress.String(), strconv.Itoa(o.InsecurePort))
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return l, fmt.Errorf("direct HTTP listener: %w", err)
	}
	l.Insecure = listener
	return l, nil
}
