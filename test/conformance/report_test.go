package conformance

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestReadReport(t *testing.T) {
	for _, test := range []struct {
		name, report string
		want         Results
	}{
		{
			name: "what became of each",
			report: `[{"SpecReports":[
				{"LeafNodeType":"SynchronizedBeforeSuite","State":"passed"},
				{"ContainerHierarchyTexts":["[sig] Group","inner"],"LeafNodeType":"It","LeafNodeText":"works","State":"passed","RunTime":1500000000},
				{"ContainerHierarchyTexts":["[sig] Group"],"LeafNodeType":"It","LeafNodeText":"fails","State":"timedout","Failure":{"Message":"too late"}},
				{"LeafNodeType":"It","LeafNodeText":"not asked for","State":"passed"}]}]`,
			want: Results{
				"[sig] Group inner works": {Passed: true, State: "passed", Took: 1500 * time.Millisecond},
				"[sig] Group fails":       {State: "timedout", Message: "too late"},
				"renamed":                 {State: notRun, Message: "the suite knows no such spec"},
			},
		},
		{
			name: "a suite that does not begin",
			report: `[{"SpecReports":[
				{"LeafNodeType":"SynchronizedBeforeSuite","State":"failed","Failure":{"Message":"no node"}},
				{"LeafNodeType":"It","LeafNodeText":"works","State":"skipped"}]}]`,
			want: Results{"works": {State: "skipped", Message: "SynchronizedBeforeSuite: no node"}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "report.json")
			if err := os.WriteFile(path, []byte(test.report), 0o600); err != nil {
				t.Fatal(err)
			}
			var specs []Spec
			for spec := range test.want {
				specs = append(specs, spec)
			}
			got, err := readReport(path, specs)
			if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
				t.Errorf("got %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestReadReportThatIsNotThere(t *testing.T) {
	if _, err := readReport(filepath.Join(t.TempDir(), "report.json"), nil); err == nil {
		t.Error("no error without a report")
	}
}
