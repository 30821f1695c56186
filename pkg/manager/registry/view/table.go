package view

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metatable "k8s.io/apimachinery/pkg/api/meta/table"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// tableConvertor renders views and lists of them as rows of columns.
type tableConvertor[V Object] struct {
	resource string
	columns  []Column[V]
}

// ConvertToTable renders object, which is a view or a list of them.
func (c tableConvertor[V]) ConvertToTable(_ context.Context, object, tableOptions runtime.Object) (*metav1.Table, error) {
	rows, err := metatable.MetaToTableRow(object, func(object runtime.Object, _ metav1.Object, name, age string) ([]any, error) {
		view, ok := object.(V)
		if !ok {
			return nil, fmt.Errorf("render %T as a table of %s", object, c.resource)
		}
		cells := []any{name}
		for _, column := range c.columns {
			cells = append(cells, column.Cell(view))
		}
		return append(cells, age), nil
	})
	if err != nil {
		return nil, err
	}
	table := &metav1.Table{Rows: rows}
	if list, err := meta.ListAccessor(object); err == nil {
		table.ResourceVersion, table.Continue, table.RemainingItemCount = list.GetResourceVersion(), list.GetContinue(), list.GetRemainingItemCount()
	} else if one, err := meta.Accessor(object); err == nil {
		table.ResourceVersion = one.GetResourceVersion()
	}
	if options, ok := tableOptions.(*metav1.TableOptions); !ok || !options.NoHeaders {
		table.ColumnDefinitions = c.definitions()
	}
	return table, nil
}

func (c tableConvertor[V]) definitions() []metav1.TableColumnDefinition {
	described := metav1.ObjectMeta{}.SwaggerDoc()
	definitions := []metav1.TableColumnDefinition{{Name: "Name", Type: "string", Format: "name", Description: described["name"]}}
	for _, column := range c.columns {
		definitions = append(definitions, metav1.TableColumnDefinition{Name: column.Name, Type: column.Type, Description: column.Description})
	}
	return append(definitions, metav1.TableColumnDefinition{Name: "Age", Type: "string", Description: described["creationTimestamp"]})
}
