package sleepmodeconfigs

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
	"loft.sh/agent/pkg/agent/sleepmode/view"
)

// columns are what `kubectl get sleepmodeconfigs` shows.
func columns() []metav1.TableColumnDefinition {
	described := metav1.ObjectMeta{}.SwaggerDoc()
	return []metav1.TableColumnDefinition{
		{Name: "Name", Type: "string", Format: "name", Description: described["name"]},
		{Name: "Sleeping", Type: "string", Description: "Since when the namespace sleeps, and why."},
		{Name: "Last Activity", Type: "string", Description: "When there last was activity, and whose."},
		{Name: "Next Change", Type: "string", Description: "When it sleeps or wakes next by itself."},
		{Name: "Slept 30d", Type: "string", Description: "How much of the last 30 days it slept."},
	}
}

type tableConvertor struct{ now func() time.Time }

// ConvertToTable renders a SleepModeConfig or a list of them.
func (c tableConvertor) ConvertToTable(_ context.Context, object, tableOptions runtime.Object) (*metav1.Table, error) {
	table := &metav1.Table{Rows: []metav1.TableRow{}}
	switch object := object.(type) {
	case *clusterv1.SleepModeConfig:
		table.ResourceVersion = object.ResourceVersion
		table.Rows = append(table.Rows, c.row(object))
	case *clusterv1.SleepModeConfigList:
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

func (c tableConvertor) row(config *clusterv1.SleepModeConfig) metav1.TableRow {
	cells := view.CellsOf(config, c.now())
	slept := "<unknown>"
	if p := config.Status.SleptLastThirtyDays; p != nil {
		slept = fmt.Sprintf("%.0f%%", *p)
	}
	return metav1.TableRow{
		Cells:  []any{config.Name, cells.Sleeping, cells.LastActivity, cells.NextChange, slept},
		Object: runtime.RawExtension{Object: config},
	}
}
