package cli

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	managementv1 "loft.sh/agent/apis/management/v1"
	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/artifacts"
	"loft.sh/agent/pkg/cli/centre"
	"loft.sh/agent/pkg/cli/failure"
	"loft.sh/agent/pkg/cli/target"
	"loft.sh/agent/pkg/endpoint"
)

const connectClusterExample = `  # Connect the cluster of the current kube context
  loft connect cluster eu

  # That of another one, with a direct endpoint
  loft connect cluster eu --context admin@eu --direct-cluster-endpoint eu.example.com --direct-cluster-endpoint-ca ca.crt

  # A cluster whose API server has another address for the manager than for this machine
  loft connect cluster kind --server https://10.0.0.5:6443`

// The account by which the manager enters a cluster; artifacts/connect has it.
const (
	connectNamespace = "loft"
	connectSecret    = "loft-connect-token"
)

// waitPoll is how often something waited for is looked at.
const waitPoll = time.Second

func newConnect(e *env) *cobra.Command {
	return group("connect", "Connect a cluster to the manager", "  loft connect cluster eu", newConnectCluster(e))
}

type connectOptions struct {
	kubeconfig, context string
	server              string
	displayName         string
	endpoint            string
	endpointCA          string
	endpointInsecure    bool
	wait                time.Duration
}

func newConnectCluster(e *env) *cobra.Command {
	var o connectOptions
	cmd := &cobra.Command{
		Use:   "cluster NAME",
		Short: "Connect the cluster of a kube context to the manager",
		Long: `Makes an account for the manager in the cluster, gives the manager its kubeconfig, and waits until the
manager has installed the agent. It may be run again: what is there already is brought up to date.`,
		Example: connectClusterExample,
		Args:    exactly(1, "a name for the cluster"),
		RunE:    func(cmd *cobra.Command, args []string) error { return connectCluster(cmd.Context(), e, args[0], o) },
	}
	o.addFlags(cmd.Flags())
	return cmd
}

func (o *connectOptions) addFlags(fs *pflag.FlagSet) {
	addKubeconfigFlag(fs, &o.kubeconfig)
	fs.StringVar(&o.context, "context", "", "Kube context of the cluster. Default: the current one.")
	fs.StringVar(&o.server, "server", "", "URL at which the manager reaches the API server. Default: that of the kube context.")
	fs.StringVar(&o.displayName, "display-name", "", "Name that is shown to people.")
	fs.StringVar(&o.endpoint, "direct-cluster-endpoint", "", "Host under which people reach the agent directly.")
	fs.StringVar(&o.endpointCA, "direct-cluster-endpoint-ca", "", "File with the PEM certificates that clients verify the endpoint with.")
	fs.BoolVar(&o.endpointInsecure, "direct-cluster-endpoint-insecure", false, "Have clients not verify the endpoint's certificate.")
	fs.DurationVar(&o.wait, "wait", 5*time.Minute, "How long to wait until the agent is ready; 0: not at all.")
}

// cluster is the Cluster that the flags describe.
func (o *connectOptions) cluster(name string) (*managementv1.Cluster, error) {
	if len(content.IsDNS1123Subdomain(name)) > 0 {
		return nil, failure.Usagef("%q cannot be the name of a cluster: it must be lower-case letters, digits, - and .", name)
	}
	cluster := &managementv1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: storagev1.ClusterSpec{DisplayName: o.displayName}}
	annotations := map[string]string{}
	if o.endpoint != "" {
		annotations[storagev1.AnnotationDirectEndpoint] = o.endpoint
	}
	if o.endpointInsecure {
		annotations[storagev1.AnnotationDirectEndpointInsecure] = "true"
	}
	if o.endpointCA != "" {
		pem, err := os.ReadFile(o.endpointCA)
		if err != nil {
			return nil, failure.Usagef("--direct-cluster-endpoint-ca: %w", err)
		}
		annotations[storagev1.AnnotationDirectEndpointCAData] = base64.StdEncoding.EncodeToString(pem)
	}
	if faults := endpoint.ValidateAnnotations(annotations); len(faults) > 0 {
		return nil, failure.Usagef("--direct-cluster-endpoint…: %w", faults.ToAggregate())
	}
	cluster.Annotations = annotations
	return cluster, nil
}

func connectCluster(ctx context.Context, e *env, name string, o connectOptions) error {
	cluster, err := o.cluster(name)
	if err != nil {
		return err
	}
	v, err := e.visit()
	if err != nil {
		return err
	}
	at, err := target.Open(o.kubeconfig, o.context, centre.UserAgent())
	if err != nil {
		return err
	}
	if server, local := at.Server(); local && o.server == "" {
		e.Warnf("%s is an address of this machine alone: if the manager runs elsewhere, say with --server where it reaches the cluster", server)
	}
	created, err := v.announce(ctx, at, cluster)
	if err != nil {
		return err
	}
	if err := v.admit(ctx, at, name, o.server); err != nil {
		if created {
			// Nothing half done: a cluster that the manager cannot reach is of no use.
			err = errors.Join(err, v.client.DeleteCluster(context.WithoutCancel(ctx), name))
		}
		return err
	}
	if o.wait > 0 {
		if err := v.awaitCluster(ctx, name, o.wait); err != nil {
			return err
		}
	}
	e.Donef("Successfully connected cluster %s", name)
	return nil
}

// announce has the manager know the cluster, if it does not yet, and says whether it did not.
func (v *visit) announce(ctx context.Context, at *target.Cluster, cluster *managementv1.Cluster) (created bool, err error) {
	objects, err := artifacts.ConnectObjects()
	if err != nil {
		return false, err
	}
	uid, err := at.UID(ctx)
	if err != nil {
		return false, err
	}
	existing, err := v.client.Existing(ctx, cluster.Name)
	if err != nil {
		return false, err
	}
	if existing != nil && existing.Status.ClusterUID != "" && existing.Status.ClusterUID != uid {
		return false, failure.Usagef("%s is another cluster already: choose another name, or run 'loft disconnect cluster %s' first", cluster.Name, cluster.Name)
	}
	if err := at.Check(ctx, objects); err != nil {
		return false, fmt.Errorf("the kube context %s may not connect its cluster: %w", at.Context, err)
	}
	if existing != nil {
		v.Infof("The manager knows %s already; its account is renewed", cluster.Name)
		return false, nil
	}
	return true, v.client.CreateCluster(ctx, cluster, false)
}

// admit makes the manager's account in the cluster, and gives the manager its kubeconfig.
func (v *visit) admit(ctx context.Context, at *target.Cluster, name, server string) error {
	objects, err := artifacts.ConnectObjects()
	if err != nil {
		return err
	}
	v.Infof("Making an account for the manager in the cluster of the kube context %s", at.Context)
	if err := at.Apply(ctx, objects); err != nil {
		return err
	}
	token, err := v.awaitToken(ctx, at)
	if err != nil {
		return err
	}
	kubeconfig, err := at.KubeconfigFor(token, server)
	if err != nil {
		return err
	}
	return v.client.SetKubeconfig(ctx, name, kubeconfig)
}

// awaitToken waits until the cluster has made the account's token.
func (v *visit) awaitToken(ctx context.Context, at *target.Cluster) (token string, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err = v.Wait(ctx, waitPoll, func(ctx context.Context) (bool, string, error) {
		secret, err := at.Secret(ctx, connectNamespace, connectSecret)
		if err != nil {
			return false, "", err
		}
		token = string(secret.Data["token"])
		return token != "", "waiting for the account's token", nil
	})
	return token, err
}

// wanted are the conditions of a cluster that is connected.
var wanted = []string{
	storagev1.ConditionConnected, storagev1.ConditionAgentDeployed, storagev1.ConditionAgentReady, storagev1.ConditionTrustBundleSynced,
}

func (v *visit) awaitCluster(ctx context.Context, name string, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := v.Wait(ctx, waitPoll, func(ctx context.Context) (bool, string, error) {
		cluster, err := v.client.Existing(ctx, name)
		if err != nil {
			return false, "", err
		}
		if cluster == nil {
			return false, "", fmt.Errorf("the cluster %s is gone", name)
		}
		missing := missing(cluster)
		return missing == "", missing, nil
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return failure.TimedOutf("the cluster %s is not ready: %w; the manager goes on: 'loft list clusters' shows when it is", name, err)
	}
	return err
}

// missing is what a cluster still lacks, in words; empty: nothing.
func missing(cluster *managementv1.Cluster) string {
	conditions := wanted
	if cluster.Annotations[storagev1.AnnotationDirectEndpoint] != "" {
		conditions = append(append([]string(nil), wanted...), storagev1.ConditionDirectEndpointReachable)
	}
	for _, name := range conditions {
		found := meta.FindStatusCondition(cluster.Status.Conditions, name)
		if found == nil {
			return "waiting for " + name
		}
		if found.Status != metav1.ConditionTrue {
			return strings.TrimSuffix(fmt.Sprintf("waiting for %s (%s): %s", name, found.Reason, found.Message), ": ")
		}
	}
	return ""
}
