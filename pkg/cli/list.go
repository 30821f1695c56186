package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	managementv1 "loft.sh/agent/apis/management/v1"
	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/pkg/cli/output"
)

const listExample = `  # The clusters that you may use
  loft list clusters

  # Their names alone
  loft list clusters -o name`

func newList(e *env) *cobra.Command {
	return group("list", "List what you may use", listExample,
		newListOf(e, "clusters", "List the clusters that you may use", listClusters),
		newListSpaces(e),
		newListOf(e, "teams", "List the teams that you may see", listTeams),
	)
}

func newListSpaces(e *env) *cobra.Command {
	var cluster string
	cmd := newListOf(e, "spaces", "List the spaces that you may use", func(ctx context.Context, e *env, o output.Options) error {
		return listSpaces(ctx, e, o, cluster)
	})
	cmd.Flags().StringVar(&cluster, "cluster", "", "Cluster whose spaces are listed. Default: every cluster that you may use.")
	return cmd
}

func newListOf(e *env, what, short string, list func(context.Context, *env, output.Options) error) *cobra.Command {
	var o output.Options
	cmd := &cobra.Command{
		Use:     what,
		Short:   short,
		Example: "  loft list " + what + "\n\n  loft list " + what + " -o wide",
		Args:    exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.Validate(); err != nil {
				return err
			}
			return list(cmd.Context(), e, o)
		},
	}
	o.AddFlags(cmd.Flags())
	return cmd
}

func listClusters(ctx context.Context, e *env, o output.Options) error {
	client, err := e.client()
	if err != nil {
		return err
	}
	clusters, err := client.Clusters(ctx)
	if err != nil {
		return err
	}
	if len(clusters.Items) == 0 {
		e.Infof("There is no cluster that you may use")
	}
	return o.Print(e.Out, clusters, managementv1.SchemeGroupVersion.WithKind("Cluster"), func() *metav1.Table {
		return clusterTable(clusters.Items, time.Now())
	})
}

func clusterTable(clusters []managementv1.Cluster, now time.Time) *metav1.Table {
	table := &metav1.Table{ColumnDefinitions: []metav1.TableColumnDefinition{
		output.Column("Name", false), output.Column("Endpoint", false), output.Column("Reachable", false),
		output.Column("Connected", false), output.Column("Agent", false), output.Column("Age", false),
		output.Column("Kubernetes", true), output.Column("Display name", true),
	}}
	for _, c := range clusters {
		table.Rows = append(table.Rows, metav1.TableRow{Cells: []any{
			c.Name, c.Annotations[storagev1.AnnotationDirectEndpoint],
			condition(c.Status.Conditions, storagev1.ConditionDirectEndpointReachable),
			condition(c.Status.Conditions, storagev1.ConditionConnected),
			c.Status.AgentVersion, age(c.CreationTimestamp, now), c.Status.KubernetesVersion, c.Spec.DisplayName,
		}})
	}
	return table
}

func listTeams(ctx context.Context, e *env, o output.Options) error {
	client, err := e.client()
	if err != nil {
		return err
	}
	teams, err := client.Teams(ctx)
	if err != nil {
		return err
	}
	if len(teams.Items) == 0 {
		e.Infof("There is no team that you may see")
	}
	return o.Print(e.Out, teams, managementv1.SchemeGroupVersion.WithKind("Team"), func() *metav1.Table {
		table := &metav1.Table{ColumnDefinitions: []metav1.TableColumnDefinition{
			output.Column("Name", false), output.Column("Display name", false), output.Column("Age", false),
		}}
		for _, t := range teams.Items {
			table.Rows = append(table.Rows, metav1.TableRow{Cells: []any{t.Name, t.Spec.DisplayName, age(t.CreationTimestamp, time.Now())}})
		}
		return table
	})
}

// condition is a condition's status, with the reason where it is not true.
func condition(conditions []metav1.Condition, name string) string {
	c := meta.FindStatusCondition(conditions, name)
	switch {
	case c == nil:
		return ""
	case c.Status == metav1.ConditionTrue || c.Reason == "":
		return string(c.Status)
	default:
		return string(c.Status) + " (" + c.Reason + ")"
	}
}

func age(created metav1.Time, now time.Time) string {
	if created.IsZero() {
		return "<unknown>"
	}
	return duration.HumanDuration(now.Sub(created.Time))
}
