package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	managementv1 "loft.sh/agent/apis/management/v1"
	"loft.sh/agent/pkg/cli/centre"
	"loft.sh/agent/pkg/cli/credential"
	"loft.sh/agent/pkg/cli/failure"
	"loft.sh/agent/pkg/cli/kubeconfig"
	"loft.sh/agent/pkg/cli/probe"
	"loft.sh/agent/pkg/cli/session"
	"loft.sh/agent/pkg/endpoint"
)

// routeOptions say which way a context may take.
type routeOptions struct {
	disable, require bool
}

func (o *routeOptions) addFlags(fs *pflag.FlagSet) {
	fs.BoolVar(&o.disable, "disable-direct-cluster-endpoint", false, "Go through the manager even if the cluster has a direct endpoint.")
	fs.BoolVar(&o.require, "require-direct-cluster-endpoint", false, "Fail if the cluster cannot be reached at a direct endpoint, instead of going through the manager.")
}

func (o *routeOptions) validate() error {
	if o.disable && o.require {
		return failure.Usagef("--disable-direct-cluster-endpoint and --require-direct-cluster-endpoint exclude each other")
	}
	return nil
}

// visit is a command's dealings with the manager of the session.
type visit struct {
	*env
	store  *session.Store
	login  session.Session
	client *centre.Client
}

func (e *env) visit() (*visit, error) {
	store, err := session.Open(e.config)
	if err != nil {
		return nil, err
	}
	login, err := store.Session()
	if err != nil {
		return nil, err
	}
	client, err := centre.New(login)
	if err != nil {
		return nil, err
	}
	return &visit{env: e, store: store, login: login, client: client}, nil
}

// destination is what a context leads to in a cluster: the cluster itself, or a virtual cluster.
type destination struct {
	cluster *managementv1.Cluster
	// space and virtualCluster are empty where it is the cluster itself.
	space, virtualCluster string
}

// directPath and centralPath are the paths of the destination at its endpoint and at the manager.
func (d destination) directPath() string {
	if d.virtualCluster == "" {
		return "/kubernetes/cluster"
	}
	return "/kubernetes/virtualcluster/" + d.space + "/" + d.virtualCluster
}

func (d destination) centralPath() string {
	if d.virtualCluster == "" {
		return "/kubernetes/cluster/" + d.cluster.Name
	}
	return "/kubernetes/virtualcluster/" + d.cluster.Name + "/" + d.space + "/" + d.virtualCluster
}

// route returns the entry for a context to d, but for its name and namespace: at the direct endpoint
// if there is one that works, through the manager otherwise.
func (v *visit) route(ctx context.Context, d destination, o routeOptions) (kubeconfig.Entry, error) {
	exe, err := executable()
	if err != nil {
		return kubeconfig.Entry{}, err
	}
	args := []string{"token", "--silent", "--config", v.store.Path()}
	if !o.disable {
		at, err := v.direct(ctx, d.cluster)
		if err == nil && at != nil {
			v.Infof("Using direct cluster endpoint at %s", at.URL)
			return kubeconfig.Entry{
				Server: at.URL + d.directPath(), CAData: at.CAData, Insecure: at.Insecure,
				Exec: kubeconfig.Exec{Command: exe, Args: append(args, "--direct-cluster-endpoint", "--cluster", d.cluster.Name)},
			}, nil
		}
		if err != nil && ctx.Err() != nil {
			return kubeconfig.Entry{}, ctx.Err()
		}
		if o.require {
			return kubeconfig.Entry{}, required(d.cluster.Name, err)
		}
		if err != nil {
			v.Warnf("%v; using the manager instead", err)
		}
	}
	return kubeconfig.Entry{
		Server: v.login.Host + d.centralPath(), CAData: v.login.CAData,
		Insecure: v.login.Insecure && strings.HasPrefix(v.login.Host, "https://"),
		Exec:     kubeconfig.Exec{Command: exe, Args: args},
	}, nil
}

func required(cluster string, err error) error {
	if err == nil {
		err = fmt.Errorf("the cluster %s has no direct endpoint: it needs the annotation loft.sh/direct-cluster-endpoint", cluster)
	}
	return fmt.Errorf("%w; nothing is written, because of --require-direct-cluster-endpoint", err)
}

// direct returns the cluster's direct endpoint after asking it; nil without an error: it has none.
// The error says why it cannot be used.
func (v *visit) direct(ctx context.Context, cluster *managementv1.Cluster) (*endpoint.Endpoint, error) {
	at, faults := endpoint.Parse(cluster.Annotations)
	if len(faults) > 0 {
		return nil, fmt.Errorf("the direct cluster endpoint of %s cannot be used: %w", cluster.Name, faults.ToAggregate())
	}
	if at == nil {
		return nil, nil
	}
	token, err := credential.NewSource(v.store, v.Warnf).Renew(ctx, v.login, cluster.Name)
	if err != nil {
		return nil, fmt.Errorf("there is no token for the direct cluster endpoint %s: %w", at.URL, err)
	}
	if err := probe.Endpoint(ctx, at, token.Secret, centre.UserAgent()); err != nil {
		return nil, fmt.Errorf("the direct cluster endpoint %s cannot be used: %w", at.URL, err)
	}
	return at, nil
}

// executable is the path of this program that kubeconfigs name: the one in $PATH if that leads here,
// since it stays where it is when a package manager brings another version.
func executable() (string, error) {
	exe, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("path of this program: %w", err)
	}
	found, err := exec.LookPath(filepath.Base(os.Args[0]))
	if err != nil || !sameFile(found, exe) {
		return exe, nil
	}
	if found, err = filepath.Abs(found); err != nil {
		return exe, nil
	}
	return found, nil
}

func sameFile(a, b string) bool {
	first, err := os.Stat(a)
	if err != nil {
		return false
	}
	second, err := os.Stat(b)
	return err == nil && os.SameFile(first, second)
}

// errNoPrevious says that "use -" has nowhere to go.
var errNoPrevious = errors.New("there is no context to go back to: 'loft use' has not changed the current one yet")
