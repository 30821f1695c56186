package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
	"loft.sh/agent/pkg/cli/centre"
	"loft.sh/agent/pkg/cli/failure"
	"loft.sh/agent/pkg/cli/kubeconfig"
	"loft.sh/agent/pkg/cli/output"
	"loft.sh/agent/pkg/cli/space"
)

// spaceOptions say where a space is looked for.
type spaceOptions struct{ cluster string }

func (o *spaceOptions) addFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.cluster, "cluster", "", "Cluster that the space is in. Default: every cluster that you may use.")
}

// spaces are those in one cluster, or in all that the person may use.
func (v *visit) spaces(ctx context.Context, cluster string) ([]space.Found, error) {
	names := []string{cluster}
	if cluster == "" {
		all, err := v.client.Clusters(ctx)
		if err != nil {
			return nil, err
		}
		names = centre.Names(all.Items)
	} else if _, err := v.client.Cluster(ctx, cluster, v); err != nil {
		return nil, err
	}
	var failed error
	found := space.List(ctx, v.login, names, func(err error) {
		if cluster != "" {
			failed = err
			return
		}
		v.Warnf("%v", err)
	})
	return found, failed
}

// space is the one called name. Where several are, or without a name, it asks.
func (v *visit) space(ctx context.Context, name, cluster string) (space.Found, error) {
	all, err := v.spaces(ctx, cluster)
	if err != nil {
		return space.Found{}, err
	}
	var found []space.Found
	var names, labels []string
	for _, f := range all {
		names = append(names, f.Space.Name)
		if name == "" || f.Space.Name == name {
			found = append(found, f)
			labels = append(labels, f.Space.Name+" in cluster "+f.Cluster)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		if name == "" {
			return space.Found{}, fmt.Errorf("there is no space that you may use: make one with 'loft create space NAME'")
		}
		return space.Found{}, fmt.Errorf("space %q does not exist, or you don't have permission to use it%s", name, failure.DidYouMean(name, "spaces", names))
	}
	question := "Which space?"
	if name != "" {
		question = fmt.Sprintf("Which of the spaces called %q?", name)
	}
	i, err := v.Choose(question, labels)
	if err != nil {
		return space.Found{}, failure.Usagef("%s Name one of %s, with --cluster", question, strings.Join(labels, ", "))
	}
	return found[i], nil
}

// currentSpace is the space, and its cluster, that the current kube context leads to; empty: none.
func currentSpace(kubeconfigPath string) (name, cluster string) {
	current, err := kubeconfig.Find(kubeconfigPath).Current()
	if err != nil {
		return "", ""
	}
	// No name has an underscore in it.
	parts := strings.Split(current, "_")
	if len(parts) != 3 || parts[0] != "loft" {
		return "", ""
	}
	return parts[1], parts[2]
}

func listSpaces(ctx context.Context, e *env, o output.Options, cluster string) error {
	v, err := e.visit()
	if err != nil {
		return err
	}
	found, err := v.spaces(ctx, cluster)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		e.Infof("There is no space that you may use")
	}
	list := &clusterv1.SpaceList{}
	for _, f := range found {
		list.Items = append(list.Items, f.Space)
	}
	return o.Print(e.Out, list, clusterv1.SchemeGroupVersion.WithKind("Space"), func() *metav1.Table {
		return spaceTable(found, time.Now())
	})
}

func spaceTable(found []space.Found, now time.Time) *metav1.Table {
	table := &metav1.Table{ColumnDefinitions: []metav1.TableColumnDefinition{
		output.Column("Name", false), output.Column("Cluster", false), output.Column("Owner", false),
		output.Column("Status", false), output.Column("Sleeping", false), output.Column("Last activity", false),
		output.Column("Age", false), output.Column("Next change", true), output.Column("By", true),
	}}
	for _, f := range found {
		sleep := clusterv1.SleepModeConfig{}
		if f.Space.Status.SleepModeConfig != nil {
			sleep = *f.Space.Status.SleepModeConfig
		}
		table.Rows = append(table.Rows, metav1.TableRow{Cells: []any{
			f.Space.Name, f.Cluster, owner(&f.Space), string(f.Space.Status.Phase), sleeping(sleep.Status, now),
			ago(sleep.Status.LastActivity, now), age(f.Space.CreationTimestamp, now), next(sleep.Status, now), activeBy(sleep.Status),
		}})
	}
	return table
}

// owner is whom a space belongs to.
func owner(s *clusterv1.Space) string {
	switch o := s.Status.Owner; {
	case o != nil && o.User != nil:
		return "user " + o.User.Name
	case o != nil && o.Team != nil:
		return "team " + o.Team.Name
	}
	return ""
}

// sleepTypes are the reasons for sleep in words.
var sleepTypes = map[string]string{
	clusterv1.SleepTypeInactivity:     "inactive",
	clusterv1.SleepTypeForced:         "asked for",
	clusterv1.SleepTypeForcedDuration: "asked for, held",
	clusterv1.SleepTypeScheduled:      "scheduled",
}

// sleeping says since when a space sleeps, and why; empty: it is awake.
func sleeping(s clusterv1.SleepModeConfigStatus, now time.Time) string {
	if s.SleepingSince == 0 {
		return ""
	}
	return duration.HumanDuration(now.Sub(time.Unix(s.SleepingSince, 0))) + " (" + sleepTypes[s.SleepType] + ")"
}

func ago(seconds int64, now time.Time) string {
	if seconds == 0 {
		return ""
	}
	return duration.HumanDuration(now.Sub(time.Unix(seconds, 0)))
}

// next is the next time of a schedule.
func next(s clusterv1.SleepModeConfigStatus, now time.Time) string {
	in := func(what string, at *int64) string {
		return what + " in " + duration.HumanDuration(time.Unix(*at, 0).Sub(now))
	}
	switch {
	case s.SleepingSince != 0 && s.ScheduledWakeup != nil && *s.ScheduledWakeup != 0:
		return in("wakes", s.ScheduledWakeup)
	case s.SleepingSince == 0 && s.ScheduledSleep != nil && *s.ScheduledSleep != 0:
		return in("sleeps", s.ScheduledSleep)
	}
	return ""
}

func activeBy(s clusterv1.SleepModeConfigStatus) string {
	if s.LastActivityInfo == nil {
		return ""
	}
	return s.LastActivityInfo.Subject
}

// completeSpaces completes the names of spaces.
func completeSpaces(e *env) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
		defer cancel()
		v, err := e.visit()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		clusters, err := v.client.Clusters(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		var names []string
		for _, f := range space.List(ctx, v.login, centre.Names(clusters.Items), func(error) {}) {
			names = append(names, f.Space.Name)
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}
