package spaces

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
	"loft.sh/agent/pkg/agent/sleepmode/view"
)

// columns are what `kubectl get spaces` shows.
func columns() []metav1.TableColumnDefinition {
	described := metav1.ObjectMeta{}.SwaggerDoc()
	return []metav1.TableColumnDefinition{
		{Name: "Name", Type: "string", Format: "name", Description: described["name"]},
		{Name: "Owner", Type: "string", Description: "The user or team that the space belongs to."},
		{Name: "Status", Type: "string", Description: "The namespace's phase."},
		{Name: "Sleeping", Type: "string", Description: "Since when the space sleeps, and why."},
		{Name: "Last Activity", Type: "string", Description: "When there last was activity, and whose."},
		{Name: "Next Change", Type: "string", Description: "When it sleeps, wakes or is deleted next by itself."},
		{Name: "Age", Type: "string", Description: described["creationTimestamp"]},
	}
}

type tableConvertor struct{ now func() time.Time }

// ConvertToTable renders a Space or a list of them.
func (c tableConvertor) ConvertToTable(_ context.Context, object, tableOptions runtime.Object) (*metav1.Table, error) {
	table := &metav1.Table{Rows: []metav1.TableRow{}}
	switch object := object.(type) {
	case *clusterv1.Space:
		table.ResourceVersion = object.ResourceVersion
		table.Rows = append(table.Rows, c.row(object))
	case *clusterv1.SpaceList:
		table.ResourceVersion = object.ResourceVersion
		for i := range object.Items {
			table.Rows = append(table.Rows, c.row(&object.Items[i]))
		}
	default:
		return nil, fmt.Errorf("render %T as a table of %s", object, Resource)
	}
	if options, ok := tableOptions.(*metav1.TableOptions); !ok || !options.NoHeaders {
		table.ColumnDefinitions = columns()
	}
	return table, nil
}

func (c tableConvertor) row(space *clusterv1.Space) metav1.TableRow {
	now := c.now()
	cells := view.CellsOf(space.Status.SleepModeConfig, now)
	return metav1.TableRow{
		Cells: []any{
			space.Name, owner(space.Spec), string(space.Status.Phase), cells.Sleeping, cells.LastActivity, cells.NextChange,
			duration.HumanDuration(now.Sub(space.CreationTimestamp.Time)),
		},
		Object: runtime.RawExtension{Object: space},
	}
}

func owner(spec clusterv1.SpaceSpec) string {
	switch {
	case spec.User != "":
		return spec.User
	case spec.Team != "":
		return "team " + spec.Team
	}
	return "<none>"
}
