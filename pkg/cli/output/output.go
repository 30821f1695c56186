// Package output prints objects as kubectl does: -o table, wide, json, yaml, name or jsonpath.
package output

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/printers"

	"loft.sh/agent/pkg/cli/failure"
)

// Options says how objects are printed.
type Options struct {
	// Format is one of table, wide, json, yaml, name or jsonpath=TEMPLATE.
	Format string
	// NoHeaders leaves the first line of a table out.
	NoHeaders bool
}

// formats are the values of -o that are complete in themselves.
var formats = []string{"table", "wide", "json", "yaml", "name"}

const jsonpath = "jsonpath="

// AddFlags adds the flags.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	fs.StringVarP(&o.Format, "output", "o", "table", "Format: "+strings.Join(formats, ", ")+" or jsonpath=TEMPLATE.")
	fs.BoolVar(&o.NoHeaders, "no-headers", false, "Leave the headers of a table out.")
}

// Validate says whether the format is known.
func (o *Options) Validate() error {
	_, err := o.printer()
	return err
}

func (o *Options) printer() (printers.ResourcePrinter, error) {
	switch format := o.Format; {
	case format == "" || format == "table" || format == "wide":
		return printers.NewTablePrinter(printers.PrintOptions{Wide: format == "wide", NoHeaders: o.NoHeaders}), nil
	case format == "json":
		return &printers.JSONPrinter{}, nil
	case format == "yaml":
		return &printers.YAMLPrinter{}, nil
	case format == "name":
		return &printers.NamePrinter{ShortOutput: true}, nil
	case strings.HasPrefix(format, jsonpath):
		p, err := printers.NewJSONPathPrinter(strings.TrimPrefix(format, jsonpath))
		if err != nil {
			return nil, failure.Usagef("--output: %w", err)
		}
		p.AllowMissingKeys(true)
		return p, nil
	default:
		return nil, failure.Usagef("--output: %q is not one of %s or jsonpath=TEMPLATE", format, strings.Join(formats, ", "))
	}
}

// table says whether a table is wanted.
func (o *Options) table() bool { return o.Format == "" || o.Format == "table" || o.Format == "wide" }

// Print writes obj, an object or a list, or where a table is wanted what table makes of it. kind is
// the kind of a list's items, or of obj itself: typed clients leave it out.
func (o *Options) Print(w io.Writer, obj runtime.Object, kind schema.GroupVersionKind, table func() *metav1.Table) error {
	p, err := o.printer()
	if err != nil {
		return err
	}
	if o.table() {
		return p.PrintObj(table(), w)
	}
	if err := setKinds(obj, kind); err != nil {
		return err
	}
	if o.Format == "name" && meta.IsListType(obj) { // which kubectl's own printer of names leaves to its caller
		return meta.EachListItem(obj, func(item runtime.Object) error { return p.PrintObj(item, w) })
	}
	return p.PrintObj(obj, w)
}

func setKinds(obj runtime.Object, kind schema.GroupVersionKind) error {
	if !meta.IsListType(obj) {
		obj.GetObjectKind().SetGroupVersionKind(kind)
		return nil
	}
	obj.GetObjectKind().SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
	err := meta.EachListItem(obj, func(item runtime.Object) error {
		item.GetObjectKind().SetGroupVersionKind(kind)
		return nil
	})
	if err != nil {
		return fmt.Errorf("items of %s: %w", kind.Kind, err)
	}
	return nil
}

// Column describes a column of a table. Wide columns are shown with -o wide alone.
func Column(name string, wide bool) metav1.TableColumnDefinition {
	column := metav1.TableColumnDefinition{Name: name, Type: "string"}
	if wide {
		column.Priority = 1
	}
	return column
}
