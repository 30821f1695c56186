package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
	"loft.sh/agent/pkg/cli/failure"
	"loft.sh/agent/pkg/cli/space"
	"loft.sh/agent/pkg/cli/span"
)

const createSpaceExample = `  # A space in the only cluster that you may use, or the one that you choose
  loft create space my-space

  # One that sleeps after eight hours without activity, and is deleted after a month
  loft create space my-space --cluster eu --sleep-after 8h --delete-after 30d

  # One that sleeps at night, for a team
  loft create space my-space --team devs --sleep-schedule "0 20 * * 1-5" --wakeup-schedule "0 7 * * 1-5" --timezone Europe/Berlin`

func newCreate(e *env) *cobra.Command {
	return group("create", "Create a space", createSpaceExample, newCreateSpace(e))
}

// Annotations of a space; sleep mode's are in seconds.
const (
	sleepModePrefix       = "sleepmode.loft.sh/"
	displayNameAnnotation = "loft.sh/display-name"
)

type createSpaceOptions struct {
	contextOptions
	cluster               string
	user, team            string
	displayName           string
	objects               string
	sleepAfter            span.Value
	deleteAfter           span.Value
	sleepAt, wakeAt, zone string
	use                   bool
	wait                  time.Duration
}

func newCreateSpace(e *env) *cobra.Command {
	var o createSpaceOptions
	cmd := &cobra.Command{
		Use:     "space NAME",
		Short:   "Create a space, and point kubectl at it",
		Example: createSpaceExample,
		Args:    exactly(1, "a name for the space"),
		RunE:    func(cmd *cobra.Command, args []string) error { return createSpace(cmd.Context(), e, args[0], o) },
	}
	o.addFlags(cmd.Flags())
	addKubeconfigFlag(cmd.Flags(), &o.kubeconfig)
	if err := cmd.RegisterFlagCompletionFunc("cluster", completeClusters(e)); err != nil {
		panic(err) // the flag is not there
	}
	return cmd
}

func (o *createSpaceOptions) addFlags(fs *pflag.FlagSet) {
	o.contextOptions.addFlags(fs)
	fs.StringVar(&o.cluster, "cluster", "", "Cluster to make the space in. Default: the only one that you may use.")
	fs.StringVar(&o.user, "user", "", "User whom the space belongs to. Default: you.")
	fs.StringVar(&o.team, "team", "", "Team that the space belongs to, instead of a user.")
	fs.StringVar(&o.displayName, "display-name", "", "Name that is shown to people.")
	fs.StringVar(&o.objects, "objects", "", "File with manifests that are applied to the space.")
	fs.Var(&o.sleepAfter, "sleep-after", "How long without activity until the space sleeps, such as 30m or 8h.")
	fs.Var(&o.deleteAfter, "delete-after", "How long without activity until the space is deleted, such as 30d.")
	fs.StringVar(&o.sleepAt, "sleep-schedule", "", "When the space falls asleep, as a cron expression.")
	fs.StringVar(&o.wakeAt, "wakeup-schedule", "", "When the space wakes, as a cron expression.")
	fs.StringVar(&o.zone, "timezone", "", "Time zone of the schedules, such as Europe/Berlin. Default: UTC.")
	fs.BoolVar(&o.use, "use", true, "Point kubectl at the space.")
	fs.DurationVar(&o.wait, "wait", time.Minute, "How long to wait until the space is there.")
}

func (o *createSpaceOptions) validate(name string) error {
	if err := o.contextOptions.validate(); err != nil {
		return err
	}
	var errs []error
	if len(content.IsDNS1123Label(name)) > 0 {
		errs = append(errs, fmt.Errorf("%q cannot be the name of a space: it must be lower-case letters, digits and -", name))
	}
	if o.user != "" && o.team != "" {
		errs = append(errs, errors.New("a space belongs to a user or to a team: give one of --user and --team"))
	}
	if _, err := time.LoadLocation(o.zone); err != nil {
		errs = append(errs, fmt.Errorf("--timezone: %q is not known: name one such as Europe/Berlin", o.zone))
	}
	if o.zone != "" && o.sleepAt == "" && o.wakeAt == "" {
		errs = append(errs, errors.New("--timezone has a meaning with --sleep-schedule or --wakeup-schedule alone"))
	}
	if err := errors.Join(errs...); err != nil {
		return failure.Usagef("%w", err)
	}
	return nil
}

// space is the space that the flags describe.
func (o *createSpaceOptions) space(name string) (*clusterv1.Space, error) {
	annotations := map[string]string{}
	set := func(key, value string) {
		if value != "" {
			annotations[key] = value
		}
	}
	set(displayNameAnnotation, o.displayName)
	if o.sleepAfter.Given {
		set(sleepModePrefix+"sleep-after", strconv.FormatInt(o.sleepAfter.Seconds(), 10))
	}
	if o.deleteAfter.Given {
		set(sleepModePrefix+"delete-after", strconv.FormatInt(o.deleteAfter.Seconds(), 10))
	}
	set(sleepModePrefix+"sleep-schedule", o.sleepAt)
	set(sleepModePrefix+"wakeup-schedule", o.wakeAt)
	if o.zone != "" {
		location, err := time.LoadLocation(o.zone)
		if err != nil {
			return nil, err
		}
		_, offset := time.Now().In(location).Zone()
		set(sleepModePrefix+"timezone", o.zone+"#"+strconv.Itoa(offset))
	}
	made := &clusterv1.Space{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: annotations}, Spec: clusterv1.SpaceSpec{User: o.user, Team: o.team}}
	if o.objects != "" {
		objects, err := os.ReadFile(o.objects)
		if err != nil {
			return nil, failure.Usagef("--objects: %w", err)
		}
		made.Spec.Objects = string(objects)
	}
	return made, nil
}

func createSpace(ctx context.Context, e *env, name string, o createSpaceOptions) error {
	if err := o.validate(name); err != nil {
		return err
	}
	made, err := o.space(name)
	if err != nil {
		return err
	}
	v, err := e.visit()
	if err != nil {
		return err
	}
	if _, _, err := v.client.CheckVersion(ctx); err != nil {
		return err
	}
	if err := v.own(ctx, made); err != nil {
		return err
	}
	cluster, err := v.client.Cluster(ctx, o.cluster, e)
	if err != nil {
		return err
	}
	client, err := space.New(v.login, cluster.Name)
	if err != nil {
		return err
	}
	if err := client.Create(ctx, made); err != nil {
		return err
	}
	if err := v.awaitSpace(ctx, client, name, o.wait); err != nil {
		return err
	}
	e.Donef("Successfully created the space %s in cluster %s", name, cluster.Name)
	if !o.use {
		return nil
	}
	return v.useSpace(ctx, cluster, name, o.contextOptions)
}

// own makes the person the owner of a space that has none.
func (v *visit) own(ctx context.Context, made *clusterv1.Space) error {
	if made.Spec.User != "" || made.Spec.Team != "" {
		return nil
	}
	self, err := v.client.Self(ctx)
	if err != nil {
		return err
	}
	switch p := person(self); p.kind {
	case "User":
		made.Spec.User = p.name
	case "Team":
		made.Spec.Team = p.name
	}
	return nil
}

func (v *visit) awaitSpace(ctx context.Context, client *space.Client, name string, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := v.Wait(ctx, waitPoll, func(ctx context.Context) (bool, string, error) {
		found, err := client.Get(ctx, name)
		if err != nil {
			return false, "", err
		}
		return found != nil && found.Status.Phase == corev1.NamespaceActive, "waiting for the space " + name, nil
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return failure.TimedOutf("the space %s was created, but is not there: %w", name, err)
	}
	return err
}
