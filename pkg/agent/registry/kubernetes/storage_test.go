package kubernetes

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
)

var started = time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)

type fixedStatus clusterv1.KubernetesStatus

func (s fixedStatus) Status() clusterv1.KubernetesStatus { return clusterv1.KubernetesStatus(s) }

func readyStatus() fixedStatus {
	return fixedStatus{
		AgentVersion: "v0.1.0",
		HostVersion:  "v1.37.2",
		Conditions:   []metav1.Condition{{Type: clusterv1.ConditionReady, Status: metav1.ConditionTrue}},
	}
}

func TestGet(t *testing.T) {
	storage := NewREST(readyStatus(), started)
	got, err := storage.Get(t.Context(), "cluster", &metav1.GetOptions{})
	if err != nil {
		t.Fatalf("get: %v", err)
	}
	want := &clusterv1.Kubernetes{
		ObjectMeta: metav1.ObjectMeta{
			Name:              "cluster",
			CreationTimestamp: metav1.NewTime(started.Truncate(time.Second)),
		},
		Status: readyStatus().Status(),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("object (-want +got):\n%s", diff)
	}
}

func TestGetOtherName(t *testing.T) {
	_, err := NewREST(readyStatus(), started).Get(t.Context(), "other", &metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		t.Fatalf("got error %v, want NotFound", err)
	}
	if want := `kubernetes.cluster.loft.sh "other" not found`; err.Error() != want {
		t.Errorf("message: got %q, want %q", err, want)
	}
}

func TestListHonoursSelectors(t *testing.T) {
	tests := []struct {
		name    string
		options *metainternalversion.ListOptions
		want    int
	}{
		{name: "no options", want: 1},
		{name: "no selectors", options: &metainternalversion.ListOptions{}, want: 1},
		{name: "its name", options: byFields(t, "metadata.name=cluster"), want: 1},
		{name: "another name", options: byFields(t, "metadata.name=other"), want: 0},
		{name: "not its name", options: byFields(t, "metadata.name!=cluster"), want: 0},
		{name: "a label that it lacks", options: byLabels(t, "a=b"), want: 0},
		{name: "the lack of a label", options: byLabels(t, "!a"), want: 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			list, err := NewREST(readyStatus(), started).List(t.Context(), tt.options)
			if err != nil {
				t.Fatalf("list: %v", err)
			}
			items := list.(*clusterv1.KubernetesList).Items
			if items == nil || len(items) != tt.want {
				t.Errorf("got items %#v, want %d", items, tt.want)
			}
		})
	}
}

func byFields(t *testing.T, selector string) *metainternalversion.ListOptions {
	t.Helper()
	parsed, err := fields.ParseSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	return &metainternalversion.ListOptions{FieldSelector: parsed}
}

func byLabels(t *testing.T, selector string) *metainternalversion.ListOptions {
	t.Helper()
	parsed, err := labels.Parse(selector)
	if err != nil {
		t.Fatal(err)
	}
	return &metainternalversion.ListOptions{LabelSelector: parsed}
}

func TestTable(t *testing.T) {
	tests := []struct {
		name   string
		object runtime.Object
		want   [][]any
	}{
		{
			name: "ready object",
			object: &clusterv1.Kubernetes{
				ObjectMeta: metav1.ObjectMeta{Name: "cluster", CreationTimestamp: metav1.NewTime(started)},
				Status:     readyStatus().Status(),
			},
			want: [][]any{{"cluster", "True", "v0.1.0", "v1.37.2", "5m"}},
		},
		{
			name:   "list of an object without status",
			object: &clusterv1.KubernetesList{Items: []clusterv1.Kubernetes{{ObjectMeta: metav1.ObjectMeta{Name: "cluster"}}}},
			want:   [][]any{{"cluster", "Unknown", "<unknown>", "<unknown>", "<unknown>"}},
		},
		{name: "empty list", object: &clusterv1.KubernetesList{}},
	}
	convertor := tableConvertor{now: func() time.Time { return started.Add(5 * time.Minute) }}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			table, err := convertor.ConvertToTable(t.Context(), tt.object, nil)
			if err != nil {
				t.Fatalf("convert: %v", err)
			}
			var got [][]any
			for _, row := range table.Rows {
				got = append(got, row.Cells)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]string{"Name", "Ready", "Agent", "Host Version", "Age"}, columnNames(table)); diff != "" {
				t.Errorf("columns (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTableWithoutHeaders(t *testing.T) {
	table, err := tableConvertor{now: time.Now}.ConvertToTable(
		t.Context(), &clusterv1.Kubernetes{}, &metav1.TableOptions{NoHeaders: true})
	if err != nil {
		t.Fatalf("convert: %v", err)
	}
	if got := columnNames(table); got != nil {
		t.Errorf("columns: got %v, want none", got)
	}
}

func TestTableOfAnotherType(t *testing.T) {
	if _, err := (tableConvertor{}).ConvertToTable(t.Context(), &metav1.Status{}, nil); err == nil {
		t.Error("got no error for an object that is no Kubernetes object")
	}
}

func columnNames(table *metav1.Table) []string {
	var names []string
	for _, column := range table.ColumnDefinitions {
		names = append(names, column.Name)
	}
	return names
}

func TestProxyRefuses(t *testing.T) {
	handler, err := NewProxyREST().Connect(t.Context(), "cluster", &clusterv1.ProxyOptions{Path: "api"}, nil)
	if handler != nil || !apierrors.IsInternalError(err) {
		t.Errorf("got handler %v, error %v; want an internal error alone", handler, err)
	}
}
