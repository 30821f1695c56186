package manager

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/wait"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	cliflag "k8s.io/component-base/cli/flag"
	componentconfig "k8s.io/component-base/config"
	componentoptions "k8s.io/component-base/config/options"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"

	"loft.sh/agent/pkg/listen"
	"loft.sh/agent/pkg/manager/authn"
	"loft.sh/agent/pkg/manager/bootstrap"
	"loft.sh/agent/pkg/manager/clusters"
	"loft.sh/agent/pkg/manager/tokens"
	"loft.sh/agent/pkg/observe"
)

// Options is everything that flags can set.
type Options struct {
	// Kubeconfig reaches the central cluster's API server; empty: the pod's service account.
	Kubeconfig string
	// Namespace is the manager's own, in the central cluster.
	Namespace string
	// BootstrapAdmin makes an administrator where there is no user.
	BootstrapAdmin bool

	ServerRun      *genericoptions.ServerRunOptions
	SecureServing  *genericoptions.SecureServingOptionsWithLoopback
	Public         *listen.OuterOptions
	Authentication *genericoptions.DelegatingAuthenticationOptions
	Authorization  *genericoptions.DelegatingAuthorizationOptions
	Audit          *genericoptions.AuditOptions
	People         *authn.Options
	Tokens         *tokens.Options
	Clusters       *clusters.Options
	// PingPeriod is how long an exec, attach or port-forward may be silent towards the client.
	PingPeriod     time.Duration
	LeaderElection componentconfig.LeaderElectionConfiguration
	Listen         *listen.Options
	Tracing        *observe.TracingOptions
	Logs           *logs.Options
}

// reviewBackoff bounds what a request waits for an answer about permissions that does not come.
var reviewBackoff = wait.Backoff{Duration: 100 * time.Millisecond, Factor: 2, Steps: 3, Jitter: 0.2}

// defaultPingPeriod is well below the minute after which load balancers end a silent connection.
const defaultPingPeriod = 25 * time.Second

// NewOptions returns the defaults.
func NewOptions() *Options {
	o := &Options{
		Namespace:      "loft",
		ServerRun:      genericoptions.NewServerRunOptions(),
		SecureServing:  genericoptions.NewSecureServingOptions().WithLoopback(),
		Public:         listen.NewOuterOptions("public"),
		Authentication: genericoptions.NewDelegatingAuthenticationOptions(),
		Authorization:  genericoptions.NewDelegatingAuthorizationOptions(),
		Audit:          genericoptions.NewAuditOptions(),
		People:         authn.NewOptions(),
		Tokens:         tokens.NewOptions(),
		Clusters:       clusters.NewOptions(),
		PingPeriod:     defaultPingPeriod,
		LeaderElection: componentconfig.LeaderElectionConfiguration{
			LeaderElect: true, ResourceLock: resourcelock.LeasesResourceLock, ResourceName: "loft-manager",
			LeaseDuration: metav1.Duration{Duration: 15 * time.Second}, RenewDeadline: metav1.Duration{Duration: 10 * time.Second},
			RetryPeriod: metav1.Duration{Duration: 2 * time.Second},
		},
		Listen:  listen.NewOptions(),
		Tracing: observe.NewTracingOptions(),
		Logs:    logs.NewOptions(),
	}
	o.SecureServing.BindPort = 8443
	// A self-signed certificate is for trying things out: it stays in memory.
	o.SecureServing.ServerCert.CertDirectory = ""
	o.Authentication.WithCustomRetryBackoff(reviewBackoff)
	o.Authorization.WithCustomRetryBackoff(reviewBackoff)
	// What was taken away counts within ten seconds.
	o.Authorization.AllowCacheTTL = 5 * time.Second
	// An API server that starts says no until it has read its RBAC.
	o.Authorization.DenyCacheTTL = time.Second
	// The central cluster decides for its administrators, too.
	o.Authorization.AlwaysAllowGroups = nil
	return o
}

// Flags returns the flags by section.
func (o *Options) Flags() cliflag.NamedFlagSets {
	var sets cliflag.NamedFlagSets
	central := sets.FlagSet("central cluster")
	central.StringVar(&o.Kubeconfig, "kubeconfig", o.Kubeconfig,
		"Kubeconfig of the central cluster. Default: the service account of the pod.")
	central.StringVar(&o.Namespace, "namespace", o.Namespace,
		"The manager's own namespace in the central cluster, in which its Secrets and its Lease are.")
	people := sets.FlagSet("people")
	people.BoolVar(&o.BootstrapAdmin, "bootstrap-admin", o.BootstrapAdmin,
		"Where there is no user at all, make the user "+bootstrap.User+" in the team "+bootstrap.Team+" and keep the access key in the Secret "+
			bootstrap.SecretName+" of the manager's namespace.")
	o.People.AddFlags(people)
	o.Tokens.AddFlags(sets.FlagSet("tokens"))
	o.Clusters.AddFlags(sets.FlagSet("connected clusters"))
	sets.FlagSet("connected clusters").DurationVar(&o.PingPeriod, "streaming-ping-period", o.PingPeriod,
		"How long an exec, attach or port-forward may be silent towards the client until it is pinged, "+
			"so that no load balancer takes it for dead. 0: never.")
	componentoptions.BindLeaderElectionFlags(&o.LeaderElection, sets.FlagSet("leader election"))
	o.Public.AddFlags(sets.FlagSet("public serving"))
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
	if o.LeaderElection.ResourceNamespace == "" {
		o.LeaderElection.ResourceNamespace = o.Namespace
	}
	if err := o.SecureServing.MaybeDefaultWithSelfSignedCerts("loft-manager-apiservice.loft.svc",
		[]string{"loft-manager.loft.svc", "localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)}); err != nil {
		return fmt.Errorf("self-signed serving certificate: %w", err)
	}
	o.Public.DefaultServing(o.SecureServing.SecureServingOptions)
	return nil
}

// Validate returns every fault at once.
func (o *Options) Validate() []error {
	var errs []error
	for _, problem := range validation.IsDNS1123Label(o.Namespace) {
		errs = append(errs, fmt.Errorf("--namespace: %q: %s", o.Namespace, problem))
	}
	errs = append(errs, o.ServerRun.Validate()...)
	errs = append(errs, o.SecureServing.Validate()...)
	errs = append(errs, o.Public.Validate()...)
	errs = append(errs, o.Authentication.Validate()...)
	errs = append(errs, o.Authorization.Validate()...)
	errs = append(errs, o.Audit.Validate()...)
	errs = append(errs, o.People.Validate()...)
	errs = append(errs, o.Tokens.Validate()...)
	errs = append(errs, o.Clusters.Validate()...)
	if o.PingPeriod < 0 || o.PingPeriod > 0 && o.PingPeriod < time.Second {
		errs = append(errs, fmt.Errorf("--streaming-ping-period: %s is too short; want 0, or a second at least", o.PingPeriod))
	}
	errs = append(errs, o.validateLeaderElection()...)
	errs = append(errs, o.Listen.Validate()...)
	errs = append(errs, o.Tracing.Validate()...)
	if _, err := o.centralConfig(); err != nil {
		errs = append(errs, err)
	}
	return errs
}

// validateLeaderElection wants what the elector would otherwise refuse when the manager runs.
func (o *Options) validateLeaderElection() []error {
	c := &o.LeaderElection
	if !c.LeaderElect {
		return nil
	}
	var errs []error
	if c.LeaseDuration.Duration <= c.RenewDeadline.Duration {
		errs = append(errs, errors.New("--leader-elect-lease-duration: must be greater than --leader-elect-renew-deadline"))
	}
	if c.RetryPeriod.Duration <= 0 || float64(c.RenewDeadline.Duration) <= leaderelection.JitterFactor*float64(c.RetryPeriod.Duration) {
		errs = append(errs, errors.New("--leader-elect-renew-deadline: must be greater than 1.2 times --leader-elect-retry-period, which must not be 0"))
	}
	if c.ResourceLock != resourcelock.LeasesResourceLock {
		errs = append(errs, fmt.Errorf("--leader-elect-resource-lock: %q is no lock; want %q", c.ResourceLock, resourcelock.LeasesResourceLock))
	}
	return errs
}

// centralConfig is how the central cluster's API server is reached.
func (o *Options) centralConfig() (*rest.Config, error) {
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
	// A person's request must not wait behind another's.
	config.QPS = -1
	return config, nil
}
