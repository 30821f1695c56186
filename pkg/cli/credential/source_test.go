package credential

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clocktesting "k8s.io/utils/clock/testing"

	"loft.sh/agent/pkg/cli/centre"
	"loft.sh/agent/pkg/cli/failure"
	"loft.sh/agent/pkg/cli/session"
)

var start = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// stage is a source with a manager that says yes, no or nothing.
type stage struct {
	*Source
	clock    *clocktesting.FakePassiveClock
	answer   error
	lifetime time.Duration
	asked    int
	warnings []string
}

func newStage(t *testing.T) *stage {
	t.Helper()
	store, err := session.Open(filepath.Join(t.TempDir(), "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Login(t.Context(), session.Session{Host: "https://loft", AccessKey: "key"}, session.StorageFile); err != nil {
		t.Fatal(err)
	}
	s := &stage{clock: clocktesting.NewFakePassiveClock(start), lifetime: 24 * time.Hour}
	s.Source = &Source{Store: store, Clock: s.clock,
		Issue: func(context.Context, session.Session, string) (session.Token, error) {
			s.asked++
			now := s.clock.Now()
			return session.Token{Secret: fmt.Sprintf("token-%d", s.asked), Requested: now, Expires: now.Add(s.lifetime)}, s.answer
		},
		Warnf: func(format string, args ...any) { s.warnings = append(s.warnings, fmt.Sprintf(format, args...)) },
	}
	return s
}

func TestRenewal(t *testing.T) {
	tests := []struct {
		name     string
		lifetime time.Duration
		want     time.Duration
	}{
		{"a day", 24 * time.Hour, 30 * time.Minute},
		{"half an hour: five minutes are left, but for a tenth", 30 * time.Minute, 27 * time.Minute},
		{"thirty-four minutes", 34 * time.Minute, 30 * time.Minute},
		{"a minute", time.Minute, 54 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := renewal(session.Token{Requested: start, Expires: start.Add(tt.lifetime)}).Sub(start); got != tt.want {
				t.Errorf("renewed after %s, want %s", got, tt.want)
			}
		})
	}
}

func TestManagerThatDoesNotAnswer(t *testing.T) {
	s := newStage(t)
	down := &centre.Unanswered{Err: errors.New("https://loft cannot be reached")}
	type want struct {
		secret string
		until  time.Duration // from now on
		asked  int
		warned string
		failed bool
	}
	steps := []struct {
		name   string
		at     time.Duration
		answer error
		want   want
	}{
		{"the first", 0, nil, want{secret: "token-1", until: 30 * time.Minute, asked: 1}},
		{"still fresh", 29 * time.Minute, down, want{secret: "token-1", until: time.Minute, asked: 1}},
		{"to be renewed, and nobody answers", 31 * time.Minute, down,
			want{secret: "token-1", until: time.Minute, asked: 2, warned: "https://loft cannot be reached; using the token from " + start.Local().Format("15:04") + ", which is good for another 23h29m0s"}},
		{"a moment later nobody is asked", 31*time.Minute + 30*time.Second, down,
			want{secret: "token-1", until: time.Minute, asked: 2, warned: "another 23h29m0s"}},
		{"a minute later somebody is", 33 * time.Minute, down, want{secret: "token-1", until: time.Minute, asked: 3, warned: "another 23h27m0s"}},
		{"close to the end", 24*time.Hour - 30*time.Second, down, want{secret: "token-1", until: 30 * time.Second, asked: 4, warned: "another"}},
		{"after the end everybody asks", 24 * time.Hour, down, want{asked: 5, failed: true}},
		{"it answers again", 24*time.Hour + time.Second, nil, want{secret: "token-6", until: 30 * time.Minute, asked: 6}},
		{"and that is remembered", 24*time.Hour + 31*time.Minute, nil, want{secret: "token-7", until: 30 * time.Minute, asked: 7}},
	}
	for _, step := range steps {
		s.clock.SetTime(start.Add(step.at))
		s.answer, s.warnings = step.answer, nil
		secret, until, err := s.Token(t.Context(), "eu")
		got := want{secret: secret, asked: s.asked, failed: err != nil, warned: strings.Join(s.warnings, "\n")}
		if err == nil {
			got.until = until.Sub(s.clock.Now())
		}
		if step.want.warned != "" && strings.HasSuffix(got.warned, step.want.warned) || strings.Contains(got.warned, step.want.warned) && step.want.warned == "another" {
			got.warned = step.want.warned
		}
		if diff := cmp.Diff(step.want, got, cmp.AllowUnexported(want{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s%v", step.name, diff, err)
		}
	}
}

// TestRefusal has the manager say no while a token is kept that has not ended.
func TestRefusal(t *testing.T) {
	s := newStage(t)
	if _, _, err := s.Token(t.Context(), "eu"); err != nil {
		t.Fatal(err)
	}
	s.clock.SetTime(start.Add(time.Hour))
	s.answer = failure.NotLoggedInf("the key is disabled")
	if secret, _, err := s.Token(t.Context(), "eu"); failure.Code(err) != failure.CodeNotLoggedIn || secret != "" {
		t.Errorf("got %q and %v, want the refusal", secret, err)
	}
}

// TestClockThatIsWrong gets a token that has ended by this machine's clock.
func TestClockThatIsWrong(t *testing.T) {
	s := newStage(t)
	s.lifetime = -time.Second
	if _, _, err := s.Token(t.Context(), "eu"); err == nil || !strings.Contains(err.Error(), "if the clock is wrong, set it") {
		t.Errorf("error %v, want one about the clock", err)
	}
}

func TestClustersHaveTokensOfTheirOwn(t *testing.T) {
	s := newStage(t)
	for i, cluster := range []string{"eu", "us", ""} {
		want := fmt.Sprintf("token-%d", i+1)
		for range 2 {
			if got, _, err := s.Token(t.Context(), cluster); err != nil || got != want {
				t.Errorf("cluster %q: got %q, %v, want %q", cluster, got, err, want)
			}
		}
	}
}

func TestWrite(t *testing.T) {
	tests := []struct {
		name     string
		execInfo string
		until    time.Time
		want     string
	}{
		{"plain", "", time.Time{}, `{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{"interactive":false},"status":{"token":"t"}}`},
		{"with an end", "", start, `{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{"interactive":false},"status":{"expirationTimestamp":"2026-05-01T12:00:00Z","token":"t"}}`},
		{"for an old kubeconfig", `{"apiVersion":"client.authentication.k8s.io/v1beta1"}`, time.Time{}, `{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1beta1","spec":{"interactive":false},"status":{"token":"t"}}`},
		{"nonsense", `{`, time.Time{}, `{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{"interactive":false},"status":{"token":"t"}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv(execInfoEnv, tt.execInfo)
			var out bytes.Buffer
			if err := Write(&out, "t", tt.until); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want+"\n", out.String()); diff != "" {
				t.Errorf("credential (-want +got):\n%s", diff)
			}
		})
	}
}
