package failure

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCode(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want int
	}{
		{"none", nil, 0},
		{"any", errors.New("x"), CodeFailed},
		{"usage", Usagef("x"), CodeUsage},
		{"wrapped", fmt.Errorf("login: %w", NotLoggedInf("x")), CodeNotLoggedIn},
		{"deadline", fmt.Errorf("wait: %w", context.DeadlineExceeded), CodeTimedOut},
		{"said to be something else", Usagef("x: %w", context.DeadlineExceeded), CodeUsage},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Code(tt.err); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

func TestDidYouMean(t *testing.T) {
	clusters := []string{"eu-west", "eu-east", "asia", "us-1"}
	tests := []struct {
		name  string
		typed string
		names []string
		want  string
	}{
		{"a letter is missing", "eu-wst", clusters, "; did you mean eu-west or eu-east?"},
		{"letters are swapped", "aisa", clusters, "; did you mean asia?"},
		{"the beginning", "us", clusters, "; did you mean us-1?"},
		{"another case", "ASIA", clusters, "; did you mean asia?"},
		{"nothing like it", "production", clusters, "; clusters that you may use: asia, eu-east, eu-west, us-1"},
		{"nothing at all", "production", nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, DidYouMean(tt.typed, "clusters", tt.names)); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
		})
	}
}
