package agent

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/wait"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"

	"loft.sh/agent/pkg/agent/direct"
	"loft.sh/agent/pkg/agent/sleepmode"
	"loft.sh/agent/pkg/agent/trust"
	"loft.sh/agent/pkg/listen"
	"loft.sh/agent/pkg/observe"
)

// Options is everything that flags can set.
type Options struct {
	// Kubeconfig reaches the host cluster's API server; empty: the pod's service account.
	Kubeconfig string

	ServerRun      *genericoptions.ServerRunOptions
	SecureServing  *genericoptions.SecureServingOptionsWithLoopback
	Authentication *genericoptions.DelegatingAuthenticationOptions
	Authorization  *genericoptions.DelegatingAuthorizationOptions
	Audit          *genericoptions.AuditOptions
	Direct         *direct.Options
	Listen         *listen.Options
	Trust          *trust.Options
	Sleep          *sleepmode.Options
	Tracing        *observe.TracingOptions
	Logs           *logs.Options
}

// reviewBackoff bounds what a request waits for an answer about permissions that does not come.
var reviewBackoff = wait.Backoff{Duration: 100 * time.Millisecond, Factor: 2, Steps: 3, Jitter: 0.2}

// NewOptions returns the defaults.
func NewOptions() *Options {
	o := &Options{
		ServerRun:      genericoptions.NewServerRunOptions(),
		SecureServing:  genericoptions.NewSecureServingOptions().WithLoopback(),
		Authentication: genericoptions.NewDelegatingAuthenticationOptions(),
		Authorization:  genericoptions.NewDelegatingAuthorizationOptions(),
		Audit:          genericoptions.NewAuditOptions(),
		Direct:         direct.NewOptions(),
		Listen:         listen.NewOptions(),
		Trust:          trust.NewOptions(),
		Sleep:          sleepmode.NewOptions(),
		Tracing:        observe.NewTracingOptions(),
		Logs:           logs.NewOptions(),
	}
	o.SecureServing.BindPort = 8443
	// A self-signed certificate is for trying things out: it stays in memory.
	o.SecureServing.ServerCert.CertDirectory = ""
	o.Authentication.WithCustomRetryBackoff(reviewBackoff)
	o.Authorization.WithCustomRetryBackoff(reviewBackoff)
	// A door remembers a yes for two seconds more: ten in all.
	o.Authorization.AllowCacheTTL = 8 * time.Second
	// An API server that starts says no until it has read its RBAC.
	o.Authorization.DenyCacheTTL = time.Second
	// The host cluster decides for its administrators, too.
	o.Authorization.AlwaysAllowGroups = nil
	return o
}

// Flags returns the flags by section.
func (o *Options) Flags() cliflag.NamedFlagSets {
	var sets cliflag.NamedFlagSets
	host := sets.FlagSet("host cluster")
	host.StringVar(&o.Kubeconfig, "kubeconfig", o.Kubeconfig,
		"Kubeconfig of the host cluster. Default: the service account of the pod.")
	o.Trust.AddFlags(sets.FlagSet("trust"))
	o.Direct.AddFlags(sets.FlagSet("direct endpoint"))
	o.Sleep.AddFlags(sets.FlagSet("sleep mode"))
	o.SecureServing.AddFlags(sets.FlagSet("secure serving"))
	o.Authentication.AddFlags(sets.FlagSet("authentication"))
	o.Authorization.AddFlags(sets.FlagSet("authorization"))
	o.Audit.AddFlags(sets.FlagSet("audit"))
	o.Listen.AddFlags(sets.FlagSet("server"))
	o.ServerRun.AddUniversalFlags(sets.FlagSet("server"))
	o.Tracing.AddFlags(sets.FlagSet("tracing"))
	addLogFlags(o.Logs, sets.FlagSet("logs"))
	return sets
}

func addLogFlags(o *logs.Options, fs *pflag.FlagSet) { logsapi.AddFlags(o, fs) }

// Complete fills in what follows from other options.
func (o *Options) Complete() error {
	if o.Authentication.RemoteKubeConfigFile == "" {
		o.Authentication.RemoteKubeConfigFile = o.Kubeconfig
	}
	if o.Authorization.RemoteKubeConfigFile == "" {
		o.Authorization.RemoteKubeConfigFile = o.Kubeconfig
	}
	if err := o.SecureServing.MaybeDefaultWithSelfSignedCerts("loft-agent-apiservice.loft.svc",
		[]string{"loft-agent.loft.svc", "localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)}); err != nil {
		return fmt.Errorf("self-signed serving certificate: %w", err)
	}
	o.Direct.DefaultServing(o.SecureServing.SecureServingOptions)
	return nil
}

// Validate returns every fault at once.
func (o *Options) Validate() []error {
	var errs []error
	errs = append(errs, o.ServerRun.Validate()...)
	errs = append(errs, o.SecureServing.Validate()...)
	errs = append(errs, o.Authentication.Validate()...)
	errs = append(errs, o.Authorization.Validate()...)
	errs = append(errs, o.Audit.Validate()...)
	errs = append(errs, o.Direct.Validate()...)
	errs = append(errs, o.Listen.Validate()...)
	errs = append(errs, o.Trust.Validate()...)
	errs = append(errs, o.Sleep.Validate()...)
	errs = append(errs, o.Tracing.Validate()...)
	if _, err := o.hostConfig(); err != nil {
		errs = append(errs, err)
	}
	return errs
}

// hostConfig is how the host cluster's API server is reached.
func (o *Options) hostConfig() (*rest.Config, error) {
	var config *rest.Config
	var err error
	if o.Kubeconfig == "" {
		config, err = rest.InClusterConfig()
	} else {
		config, err = clientcmd.BuildConfigFromFlags("", o.Kubeconfig)
	}
	if errors.Is(err, rest.ErrNotInCluster) {
		return nil, errors.New("--kubeconfig: required outside of a pod")
	}
	if err != nil {
		return nil, fmt.Errorf("--kubeconfig: %w", err)
	}
	// Proxied requests are not limited by client-go; our own few must not wait behind a limit.
	config.QPS = -1
	return config, nil
}

// ShutdownBound is the longest that an agent with these options takes to end.
func (o *Options) ShutdownBound() time.Duration {
	return listen.NewShutdown(o.ServerRun.ShutdownDelayDuration, o.ServerRun.RequestTimeout+hostGrace,
		o.ServerRun.ShutdownWatchTerminationGracePeriod).Bound()
}
