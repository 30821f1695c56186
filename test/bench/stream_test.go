package bench

import (
	"bufio"
	"io"
	"strings"
	"testing"
)

func streamOf(lines string) *stream {
	return &stream{body: io.NopCloser(strings.NewReader(lines)), reader: bufio.NewReaderSize(strings.NewReader(lines), 16)}
}

func line(number string) string {
	return `{"type":"MODIFIED","object":{"data":{"data":"` + strings.Repeat("x", 100) + `","n":"` + number + `"}}}` + "\n"
}

func TestStreamReadsNumbers(t *testing.T) {
	s := streamOf(`{"type":"ADDED","object":{}}` + "\n" + line("5") + line("17"))
	for _, want := range []int{0, 5, 17} {
		e, err := s.next()
		if err != nil || e.number != want {
			t.Errorf("got number %d, %v; want %d", e.number, err, want)
		}
	}
	if _, err := s.next(); err == nil {
		t.Error("no error at the end of the watch")
	}
}

func TestStreamReportsErrors(t *testing.T) {
	s := streamOf(`{"type":"ERROR","object":{"code":410,"message":"too old resource version"}}` + "\n")
	if _, err := s.next(); err == nil || !strings.Contains(err.Error(), "too old") {
		t.Errorf("got error %v, want the server's", err)
	}
}

func TestCountSeesWhatIsMissing(t *testing.T) {
	tests := []struct {
		name   string
		events []string
		want   int
	}{
		{"all, after the object as it was", []string{"2", "3", "4", "5"}, 3},
		{"one missing", []string{"3", "5"}, 2},
		{"one twice", []string{"3", "4", "4", "5"}, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var lines strings.Builder
			for _, number := range tt.events {
				lines.WriteString(line(number))
			}
			got, err := streamOf(lines.String()).count(3, 5)
			if err != nil || got != tt.want {
				t.Errorf("got %d, %v; want %d", got, err, tt.want)
			}
		})
	}
}

func TestValidateReportsEverything(t *testing.T) {
	o := DefaultOptions()
	if err := o.Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	o.Rounds, o.Duration, o.Concurrency, o.IdleWatches = 0, -1, []int{0}, 0
	o.Work, o.Clients, o.Targets = []string{"sing"}, []string{"http3"}, []string{"mars"}
	err := o.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, flag := range []string{"--rounds", "--duration", "--concurrency", "--idle-watches", "--work", "--clients", "--targets"} {
		if !strings.Contains(err.Error(), flag+":") {
			t.Errorf("got %v, want %s in it", err, flag)
		}
	}
}
