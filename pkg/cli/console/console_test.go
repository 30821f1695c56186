package console

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLines(t *testing.T) {
	for name, tt := range map[string]struct {
		colour bool
		want   string
	}{
		"plain":    {false, "[info]   Using a\n[done] √ Successfully b\n[warn]   c\n[error]  d\n"},
		"coloured": {true, "\x1b[36m[info]\x1b[0m   Using a\n\x1b[32m[done]\x1b[0m √ Successfully b\n\x1b[33m[warn]\x1b[0m   c\n\x1b[31m[error]\x1b[0m  d\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, words bytes.Buffer
			c := &Console{Out: &out, Err: &words, Colour: tt.colour}
			c.Infof("Using %s", "a")
			c.Donef("Successfully %s", "b")
			c.Warnf("c")
			c.Errorf("d")
			if diff := cmp.Diff(tt.want, words.String()); diff != "" {
				t.Errorf("words (-want +got):\n%s", diff)
			}
			if out.Len() > 0 {
				t.Errorf("words among the data: %q", &out)
			}
		})
	}
}

func TestChoose(t *testing.T) {
	var words bytes.Buffer
	c := &Console{In: strings.NewReader("eu\n7\n2\n"), Err: &words, Interactive: true}
	i, err := c.Choose("Which cluster?", []string{"eu", "us"})
	if err != nil || i != 1 {
		t.Errorf("got %d, %v", i, err)
	}
	want := "Which cluster?\n  1) eu\n  2) us\nNumber (1-2): Number (1-2): Number (1-2): "
	if diff := cmp.Diff(want, words.String()); diff != "" {
		t.Errorf("question (-want +got):\n%s", diff)
	}
	if _, err := (&Console{}).Choose("", nil); !errors.Is(err, ErrNotInteractive) {
		t.Errorf("nobody was asked, and the error is %v", err)
	}
	if _, err := (&Console{}).Secret(""); !errors.Is(err, ErrNotInteractive) {
		t.Errorf("nobody was asked, and the error is %v", err)
	}
}

// TestWait says each change once where there is no terminal.
func TestWait(t *testing.T) {
	var words bytes.Buffer
	c := &Console{Err: &words}
	states := []string{"waiting for a", "waiting for a", "waiting for b"}
	err := c.Wait(t.Context(), time.Millisecond, func(context.Context) (bool, string, error) {
		if len(states) == 0 {
			return true, "", nil
		}
		state := states[0]
		states = states[1:]
		return false, state, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("[info]   waiting for a\n[info]   waiting for b\n", words.String()); diff != "" {
		t.Errorf("words (-want +got):\n%s", diff)
	}
}

func TestWaitEnds(t *testing.T) {
	for name, interactive := range map[string]bool{"terminal": true, "elsewhere": false} {
		t.Run(name, func(t *testing.T) {
			var words bytes.Buffer
			c := &Console{Err: &words, Interactive: interactive}
			ctx, cancel := context.WithCancel(t.Context())
			err := c.Wait(ctx, time.Millisecond, func(context.Context) (bool, string, error) {
				cancel()
				return false, "waiting for a", nil
			})
			if !errors.Is(err, context.Canceled) || !strings.HasPrefix(err.Error(), "waiting for a after 0s") {
				t.Errorf("error %v, want what was waited for", err)
			}
		})
	}
	failure := errors.New("no")
	if err := (&Console{}).Wait(t.Context(), time.Millisecond, func(context.Context) (bool, string, error) { return false, "", failure }); !errors.Is(err, failure) {
		t.Errorf("error %v, want that of the check", err)
	}
}
