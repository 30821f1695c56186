package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/api/validate/content"

	managementv1 "loft.sh/agent/apis/management/v1"
	"loft.sh/agent/pkg/cli/failure"
	"loft.sh/agent/pkg/cli/kubeconfig"
	"loft.sh/agent/pkg/cli/session"
)

const useExample = `  # Point kubectl at a cluster
  loft use cluster eu

  # Point it at a space
  loft use space my-space

  # And back to the context before
  loft use -`

const useClusterExample = `  # Point kubectl at a cluster: at its direct endpoint if it has one that works
  loft use cluster eu

  # Only write the context, under another name
  loft use cluster eu --context-name prod --set-current=false

  # Print a kubeconfig instead
  loft use cluster eu --print > eu.yaml`

func newUse(e *env) *cobra.Command {
	var kubeconfigPath string
	cmd := group("use", "Point kubectl at a cluster or a space", useExample, newUseCluster(e), newUseSpace(e))
	refuse := cmd.Args
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 && args[0] == "-" {
			return nil
		}
		return refuse(cmd, args)
	}
	cmd.Use = "use [-]"
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		return useBefore(cmd.Context(), e, kubeconfigPath)
	}
	addKubeconfigFlag(cmd.PersistentFlags(), &kubeconfigPath)
	return cmd
}

func addKubeconfigFlag(fs *pflag.FlagSet, path *string) {
	fs.StringVar(path, "kubeconfig", "", "Path of the kubeconfig. Default: the files of $KUBECONFIG, or ~/.kube/config.")
}

// contextOptions say how a context is written.
type contextOptions struct {
	routeOptions
	kubeconfig string
	name       string
	namespace  string
	setCurrent bool
	print      bool
}

func (o *contextOptions) addFlags(fs *pflag.FlagSet) {
	o.routeOptions.addFlags(fs)
	fs.StringVar(&o.name, "context-name", "", "Name of the context, its cluster and its user. Default: loft_ and what it leads to.")
	fs.BoolVar(&o.setCurrent, "set-current", true, "Make the context the current one.")
	fs.BoolVar(&o.print, "print", false, "Print a kubeconfig with the context, and write no file.")
}

func (o *contextOptions) validate() error {
	if err := o.routeOptions.validate(); err != nil {
		return err
	}
	if o.namespace != "" && len(content.IsDNS1123Label(o.namespace)) > 0 {
		return failure.Usagef("--namespace: %q cannot be the name of a namespace", o.namespace)
	}
	if o.print && o.kubeconfig != "" {
		return failure.Usagef("--print writes no file, so --kubeconfig has no meaning")
	}
	return nil
}

func newUseCluster(e *env) *cobra.Command {
	var o contextOptions
	cmd := &cobra.Command{
		Use:     "cluster [NAME]",
		Short:   "Point kubectl at a cluster",
		Example: useClusterExample,
		Args:    between(0, 1, "the cluster's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.kubeconfig, _ = cmd.Flags().GetString("kubeconfig")
			return useCluster(cmd.Context(), e, optional(args), o)
		},
		ValidArgsFunction: completeClusters(e),
	}
	o.addFlags(cmd.Flags())
	cmd.Flags().StringVarP(&o.namespace, "namespace", "n", "", "Namespace of the context.")
	return cmd
}

const useSpaceExample = `  # Point kubectl at a space, in whichever cluster it is
  loft use space my-space

  # Where several clusters have one of that name
  loft use space my-space --cluster eu`

func newUseSpace(e *env) *cobra.Command {
	var o contextOptions
	var in spaceOptions
	cmd := &cobra.Command{
		Use:     "space [NAME]",
		Short:   "Point kubectl at a space",
		Example: useSpaceExample,
		Args:    between(0, 1, "the space's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.kubeconfig, _ = cmd.Flags().GetString("kubeconfig")
			return useNamedSpace(cmd.Context(), e, optional(args), in, o)
		},
		ValidArgsFunction: completeSpaces(e),
	}
	o.addFlags(cmd.Flags())
	in.addFlags(cmd.Flags())
	return cmd
}

func useNamedSpace(ctx context.Context, e *env, name string, in spaceOptions, o contextOptions) error {
	if err := o.validate(); err != nil {
		return err
	}
	v, err := e.visit()
	if err != nil {
		return err
	}
	if _, _, err := v.client.CheckVersion(ctx); err != nil {
		return err
	}
	found, err := v.space(ctx, name, in.cluster)
	if err != nil {
		return err
	}
	cluster, err := v.client.Cluster(ctx, found.Cluster, e)
	if err != nil {
		return err
	}
	return v.useSpace(ctx, cluster, found.Space.Name, o)
}

// useSpace points kubectl at a space.
func (v *visit) useSpace(ctx context.Context, cluster *managementv1.Cluster, name string, o contextOptions) error {
	entry, err := v.route(ctx, destination{cluster: cluster, space: name}, o.routeOptions)
	if err != nil {
		return err
	}
	entry.Name, entry.Namespace = spaceContext(name, cluster.Name), name
	written, err := v.write(ctx, entry, o)
	if err == nil && written {
		v.Donef("Successfully updated kube context to use space %s in cluster %s", name, cluster.Name)
	}
	return err
}

// spaceContext is the name of the context of a space.
func spaceContext(space, cluster string) string { return "loft_" + space + "_" + cluster }

// optional is the argument that may be left out.
func optional(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

func useCluster(ctx context.Context, e *env, name string, o contextOptions) error {
	if err := o.validate(); err != nil {
		return err
	}
	v, err := e.visit()
	if err != nil {
		return err
	}
	cluster, err := v.client.Cluster(ctx, name, e)
	if err != nil {
		return err
	}
	entry, err := v.route(ctx, destination{cluster: cluster}, o.routeOptions)
	if err != nil {
		return err
	}
	entry.Name, entry.Namespace = "loft_"+cluster.Name, o.namespace
	written, err := v.write(ctx, entry, o)
	if err == nil && written {
		e.Donef("Successfully updated kube context to use cluster %s", cluster.Name)
	}
	return err
}

// write writes the entry into the kubeconfig, or prints it. written is false where it printed.
func (v *visit) write(ctx context.Context, entry kubeconfig.Entry, o contextOptions) (written bool, err error) {
	if o.name != "" {
		entry.Name = o.name
	}
	if o.print {
		data, err := kubeconfig.Render(entry)
		if err == nil {
			_, err = v.Out.Write(data)
		}
		return false, err
	}
	previous, err := kubeconfig.Find(o.kubeconfig).Apply(ctx, entry, o.setCurrent)
	if err != nil {
		return false, err
	}
	if o.setCurrent && previous != entry.Name && previous != "" {
		return true, v.store.SetPreviousContext(ctx, previous)
	}
	return true, nil
}

// useBefore goes back to the context before.
func useBefore(ctx context.Context, e *env, kubeconfigPath string) error {
	store, err := session.Open(e.config)
	if err != nil {
		return err
	}
	name, err := store.PreviousContext()
	if err != nil {
		return err
	}
	if name == "" {
		return errNoPrevious
	}
	previous, err := kubeconfig.Find(kubeconfigPath).Use(ctx, name)
	if err != nil {
		return fmt.Errorf("go back: %w", err)
	}
	e.Donef("Successfully updated kube context to use %s", name)
	if previous == "" || previous == name {
		return nil
	}
	return store.SetPreviousContext(ctx, previous)
}
