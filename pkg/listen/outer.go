package listen

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	genericserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	genericoptions "k8s.io/apiserver/pkg/server/options"

	"loft.sh/agent/pkg/doors"
)

// OuterOptions configures the listeners to the outside: HTTPS, and plain HTTP for an ingress.
type OuterOptions struct {
	// Name is how the listeners are called, such as "direct"; their flags begin with it.
	Name string
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
}

// NewOuterOptions returns the defaults: HTTPS on 10443, HTTP on 8080.
func NewOuterOptions(name string) *OuterOptions {
	o := &OuterOptions{
		Name: name, Serving: genericoptions.NewSecureServingOptions(), InsecureBindAddress: net.IPv4zero, InsecurePort: 8080,
	}
	o.Serving.BindPort = 10443
	o.Serving.ServerCert.CertDirectory = ""
	return o
}

// AddFlags adds the flags, those of the HTTPS listener under the usual names with Name before.
func (o *OuterOptions) AddFlags(fs *pflag.FlagSet) {
	// The help of a serving flag must name the outer listener's flags.
	own := strings.NewReplacer("--secure-port", o.flag("secure-port"), "--tls-", o.flag("tls-"),
		"a self-signed certificate and key are generated for the public address and saved to the directory specified by --cert-dir",
		"the certificate of the inner listener is served")
	serving := pflag.NewFlagSet("", pflag.ContinueOnError)
	o.Serving.AddFlags(serving)
	serving.VisitAll(func(f *pflag.Flag) {
		if f.Name == "cert-dir" {
			return // where no certificate is given, the inner listener's is served
		}
		f.Usage = own.Replace(f.Usage)
		f.Name = o.Name + "-" + f.Name
		fs.AddFlag(f)
	})
	fs.IPVar(&o.InsecureBindAddress, o.Name+"-insecure-bind-address", o.InsecureBindAddress,
		"The IP address on which plain HTTP is served to an ingress that ends TLS.")
	fs.IntVar(&o.InsecurePort, o.Name+"-insecure-port", o.InsecurePort,
		"The port on which plain HTTP is served to an ingress that ends TLS. 0: no such listener.")
	fs.StringSliceVar(&o.TrustedProxies, o.Name+"-trusted-proxies", o.TrustedProxies,
		"Networks (CIDR) of the proxies in front whose X-Forwarded-For header is believed. Default: nobody's.")
}

// AddClientCAFlag adds the flag for client certificates.
func (o *OuterOptions) AddClientCAFlag(fs *pflag.FlagSet, usage string) {
	fs.StringVar(&o.ClientCAFile, o.Name+"-client-ca-file", o.ClientCAFile, usage)
}

func (o *OuterOptions) flag(name string) string { return "--" + o.Name + "-" + name }

// DefaultServing takes the certificate of the inner listener where none was given.
func (o *OuterOptions) DefaultServing(inner *genericoptions.SecureServingOptions) {
	own := &o.Serving.ServerCert
	if own.CertKey.CertFile == "" && own.CertKey.KeyFile == "" && own.GeneratedCert == nil {
		own.CertKey, own.GeneratedCert = inner.ServerCert.CertKey, inner.ServerCert.GeneratedCert
	}
}

// Validate returns every fault at once.
func (o *OuterOptions) Validate() []error {
	var errs []error
	for _, err := range o.Serving.Validate() {
		errs = append(errs, fmt.Errorf("%s HTTPS listener: %w", o.Name, err))
	}
	if o.InsecurePort < 0 || o.InsecurePort > 65535 {
		errs = append(errs, fmt.Errorf("%s: %d is not a port; want 0 to 65535", o.flag("insecure-port"), o.InsecurePort))
	}
	if o.Serving.BindPort == 0 && o.InsecurePort == 0 {
		errs = append(errs, errors.New(o.flag("secure-port")+" and "+o.flag("insecure-port")+": one of them must not be 0"))
	}
	if _, err := o.ClientAddresses(); err != nil {
		errs = append(errs, err)
	}
	return errs
}

// ClientAddresses reads the trusted proxies.
func (o *OuterOptions) ClientAddresses() (doors.ClientAddresses, error) {
	return doors.ParseClientAddresses(o.Name+"-trusted-proxies", o.TrustedProxies)
}

// Outer is what OuterOptions opens.
type Outer struct {
	// Secure is nil where the HTTPS port is 0.
	Secure *genericserver.SecureServingInfo
	// ClientCA is nil where no client certificates are taken.
	ClientCA dynamiccertificates.CAContentProvider
	// Insecure is nil where the HTTP port is 0.
	Insecure net.Listener
}

// Listen opens both listeners.
func (o *OuterOptions) Listen() (Outer, error) {
	var l Outer
	if err := o.Serving.ApplyTo(&l.Secure); err != nil {
		return l, fmt.Errorf("%s HTTPS listener: %w", o.Name, err)
	}
	if o.ClientCAFile != "" {
		ca, err := dynamiccertificates.NewDynamicCAContentFromFile(o.Name+"-client-ca", o.ClientCAFile)
		if err != nil {
			return l, fmt.Errorf("%s: %w", o.flag("client-ca-file"), err)
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
		return l, fmt.Errorf("%s HTTP listener: %w", o.Name, err)
	}
	l.Insecure = listener
	return l, nil
}
