package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"loft.sh/agent/pkg/cli/failure"
	"loft.sh/agent/pkg/cli/space"
	"loft.sh/agent/pkg/cli/span"
)

const sleepExample = `  # Put the space of the current kube context to sleep; whoever uses it wakes it
  loft sleep

  # Put a space to sleep, and let nothing wake it for two hours but 'loft wakeup'
  loft sleep my-space --prevent-wakeup 2h

  # What keeps Argo CD from waking what sleeps
  loft sleep --gitops argocd`

// argoCD has Argo CD leave alone what the agent changes: the fields that it owns.
const argoCD = `# In the Application, so that self-heal leaves what sleeps alone:
spec:
  ignoreDifferences:
  - group: "*"
    kind: "*"
    managedFieldsManagers:
    - loft-agent
  syncPolicy:
    syncOptions:
    - RespectIgnoreDifferences=true
`

type sleepOptions struct {
	spaceOptions
	kubeconfig string
	prevent    span.Value
	gitops     string
	wait       time.Duration
}

func newSleep(e *env) *cobra.Command {
	var o sleepOptions
	cmd := &cobra.Command{
		Use:               "sleep [SPACE]",
		Short:             "Put a space to sleep",
		Example:           sleepExample,
		Args:              between(0, 1, "the space's name"),
		ValidArgsFunction: completeSpaces(e),
		RunE:              func(cmd *cobra.Command, args []string) error { return sleep(cmd.Context(), e, optional(args), o) },
	}
	o.addFlags(cmd.Flags())
	addKubeconfigFlag(cmd.Flags(), &o.kubeconfig)
	cmd.Flags().Var(&o.prevent, "prevent-wakeup", "How long nothing but 'loft wakeup' wakes the space, such as 2h; 0: until then.")
	cmd.Flags().StringVar(&o.gitops, "gitops", "", "Print what keeps a GitOps tool from waking what sleeps, and do nothing: argocd.")
	cmd.Flags().DurationVar(&o.wait, "wait", 5*time.Minute, "How long to wait until the space sleeps; 0: not at all.")
	return cmd
}

func sleep(ctx context.Context, e *env, name string, o sleepOptions) error {
	switch o.gitops {
	case "":
	case "argocd":
		_, err := fmt.Fprint(e.Out, argoCD)
		return err
	default:
		return failure.Usagef("--gitops: %q is not argocd", o.gitops)
	}
	v, found, client, err := e.sleeper(ctx, name, o.cluster, o.kubeconfig)
	if err != nil {
		return err
	}
	var seconds *int64
	if o.prevent.Given {
		n := o.prevent.Seconds()
		seconds = &n
	}
	if err := client.Sleep(ctx, found.Space.Name, seconds); err != nil {
		return err
	}
	if o.wait > 0 {
		if err := v.awaitSleep(ctx, client, found.Space.Name, true, o.wait); err != nil {
			return err
		}
	}
	e.Donef("Successfully put space %s in cluster %s to sleep", found.Space.Name, found.Cluster)
	return nil
}

// sleeper finds the space that is to sleep or to wake: the one called name, or that of the current
// kube context.
func (e *env) sleeper(ctx context.Context, name, cluster, kubeconfigPath string) (*visit, space.Found, *space.Client, error) {
	v, err := e.visit()
	if err != nil {
		return nil, space.Found{}, nil, err
	}
	if name == "" {
		current, of := currentSpace(kubeconfigPath)
		if cluster == "" || cluster == of {
			name, cluster = current, of
		}
	}
	found, err := v.space(ctx, name, cluster)
	if err != nil {
		return nil, space.Found{}, nil, err
	}
	client, err := space.New(v.login, found.Cluster)
	return v, found, client, err
}

// awaitSleep waits until the space sleeps, or is awake.
func (v *visit) awaitSleep(ctx context.Context, client *space.Client, name string, asleep bool, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	waiting := map[bool]string{true: "waiting for " + name + " to fall asleep", false: "waiting for " + name + " to wake"}[asleep]
	err := v.Wait(ctx, waitPoll, func(ctx context.Context) (bool, string, error) {
		config, err := client.SleepMode(ctx, name)
		if err != nil {
			return false, "", err
		}
		return (config.Status.SleepingSince != 0) == asleep, waiting, nil
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return failure.TimedOutf("%w: 'kubectl get sleepmodeconfigs -n %s -o yaml' says what is wrong", err, name)
	}
	return err
}
