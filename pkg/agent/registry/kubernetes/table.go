package kubernetes

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
)

// unknown is what kubectl prints for a value that is not known.
const unknown = "<unknown>"

// columns are what `kubectl get kubernetes` shows.
func columns() []metav1.TableColumnDefinition {
	described := metav1.ObjectMeta{}.SwaggerDoc()
	return []metav1.TableColumnDefinition{
		{Name: "Name", Type: "string", Format: "name", Description: described["name"]},
		{Name: "Ready", Type: "string", Description: "Whether the direct endpoint serves requests."},
		{Name: "Agent", Type: "string", Description: "Version of the agent."},
		{Name: "Host Version", Type: "string", Description: "Version of the host cluster's API server."},
		{Name: "Age", Type: "string", Description: described["creationTimestamp"]},
	}
}

// tableConvertor renders Kubernetes objects and lists of them as rows of columns.
type tableConvertor struct {
	now func() time.Time
}

// ConvertToTable renders object, which is a Kubernetes object or a list of them.
func (c tableConvertor) ConvertToTable(_ context.Context, object, tableOptions runtime.Object) (*metav1.Table, error) {
	table := &metav1.Table{Rows: []metav1.TableRow{}}
	switch object := object.(type) {
	case *clusterv1.Kubernetes:
		table.Rows = append(table.Rows, c.row(object))
	case *clusterv1.KubernetesList:
		for i := range object.Items {
			table.Rows = append(table.Rows, c.row(&object.Items[i]))
		}
	default:
		return nil, fmt.Errorf("render %T as a table of %s", object, clusterv1.KubernetesResource)
	}
	if options, ok := tableOptions.(*metav1.TableOptions); !ok || !options.NoHeaders {
		table.ColumnDefinitions = columns()
	}
	return table, nil
}

func (c tableConvertor) row(object *clusterv1.Kubernetes) metav1.TableRow {
	return metav1.TableRow{
		Cells: []any{
			object.Name,
			ready(object.Status.Conditions),
			known(object.Status.AgentVersion),
			known(object.Status.HostVersion),
			c.age(object.CreationTimestamp),
		},
		Object: runtime.RawExtension{Object: object},
	}
}

func (c tableConvertor) age(created metav1.Time) string {
	if created.IsZero() {
		return unknown
	}
	return duration.HumanDuration(c.now().Sub(created.Time))
}

func ready(conditions []metav1.Condition) string {
	condition := meta.FindStatusCondition(conditions, clusterv1.ConditionReady)
	if condition == nil {
		return string(metav1.ConditionUnknown)
	}
	return string(condition.Status)
}

func known(value string) string {
	if value == "" {
		return unknown
	}
	return value
}
