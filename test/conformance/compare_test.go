package conformance

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCompare(t *testing.T) {
	pass, fail := Result{Passed: true, State: "passed"}, Result{State: "failed"}
	excepted := map[Spec]string{"x": "reason"}
	for _, test := range []struct {
		name             string
		direct, endpoint Results
		want             Comparison
		wantErr          string
	}{
		{name: "both pass", direct: Results{"a": pass}, endpoint: Results{"a": pass}, want: Comparison{Same: 1}},
		{
			name: "only the endpoint fails", direct: Results{"a": pass}, endpoint: Results{"a": fail},
			want: Comparison{Different: []Spec{"a"}}, wantErr: "1 specs differ",
		},
		{
			name: "only the endpoint passes", direct: Results{"a": fail}, endpoint: Results{"a": pass},
			want: Comparison{Different: []Spec{"a"}}, wantErr: "1 specs differ",
		},
		{
			name: "the endpoint did not run it", direct: Results{"a": pass}, endpoint: Results{},
			want: Comparison{Different: []Spec{"a"}}, wantErr: "1 specs differ",
		},
		{
			name: "both fail", direct: Results{"a": fail}, endpoint: Results{"a": fail},
			want: Comparison{Broken: []Spec{"a"}}, wantErr: "1 specs fail both ways",
		},
		{
			name: "excepted", direct: Results{"x": pass}, endpoint: Results{"x": fail},
			want: Comparison{Excepted: []Spec{"x"}},
		},
		{
			name: "excepted and passes", direct: Results{"x": pass}, endpoint: Results{"x": pass},
			want: Comparison{Stale: []Spec{"x"}}, wantErr: "1 specs are excepted and pass",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := compare(test.direct, test.endpoint, excepted)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("comparison (-want +got):\n%s", diff)
			}
			err := got.Err()
			if (err == nil) != (test.wantErr == "") || err != nil && !strings.Contains(err.Error(), test.wantErr) {
				t.Errorf("got error %v, want %q", err, test.wantErr)
			}
		})
	}
}
