package schedule

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func mustParse(t *testing.T, expression, zone string) *Schedule {
	t.Helper()
	location, err := Zone(zone)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Parse(expression, location)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func instant(t *testing.T, text string) time.Time {
	t.Helper()
	parsed, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestNext(t *testing.T) {
	tests := []struct {
		name, expression, zone, from string
		want                         []string // one after the other
	}{
		{"UTC by default", "0 22 * * *", "", "2026-01-01T00:00:00Z", []string{"2026-01-01T22:00:00Z", "2026-01-02T22:00:00Z"}},
		{"zone with an offset", "0 22 * * *", "Europe/Berlin#7200", "2026-01-01T00:00:00Z", []string{"2026-01-01T22:00:00+01:00"}},
		{"zone inside is ignored", "CRON_TZ=Asia/Tokyo 0 22 * * *", "Europe/Berlin", "2026-01-01T00:00:00Z", []string{"2026-01-01T22:00:00+01:00"}},
		{"another zone inside is ignored", "TZ=Asia/Tokyo 0 22 * * *", "", "2026-01-01T00:00:00Z", []string{"2026-01-01T22:00:00Z"}},
		{"name", "@daily", "America/New_York", "2026-06-01T12:00:00Z", []string{"2026-06-02T00:00:00-04:00"}},
		{"workdays", "0 7 * * 1-5", "", "2026-11-27T08:00:00Z", []string{"2026-11-30T07:00:00Z"}},
		{"the same wall time across spring", "0 7 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z",
			[]string{"2026-03-28T07:00:00+01:00", "2026-03-29T07:00:00+02:00"}},
		{"skipped in spring: when the clock jumps", "30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z",
			[]string{"2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"}},
		{"twice in autumn: the first time", "30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z",
			[]string{"2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"}},
		{"from inside the second hour of autumn", "40 2 * * *", "Europe/Berlin", "2026-10-25T02:30:00+01:00",
			[]string{"2026-10-26T02:40:00+01:00"}},
		{"half an hour of summer time", "0 2 * * *", "Australia/Lord_Howe", "2026-10-03T02:00:00+10:30",
			[]string{"2026-10-04T02:30:00+11:00", "2026-10-05T02:00:00+11:00"}},
		{"midnight that does not exist", "0 0 * * *", "Africa/Cairo", "2026-04-23T12:00:00Z",
			[]string{"2026-04-24T01:00:00+03:00", "2026-04-25T00:00:00+03:00"}},
		{"leap day", "0 0 29 2 *", "", "2026-01-01T00:00:00Z", []string{"2028-02-29T00:00:00Z"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := mustParse(t, tt.expression, tt.zone)
			at := instant(t, tt.from)
			var got []string
			for range tt.want {
				at = s.Next(at)
				got = append(got, at.Format(time.RFC3339))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestParseFails(t *testing.T) {
	tests := []struct{ name, expression, want string }{
		{"empty", "", "is empty"},
		{"a zone alone", "TZ=Europe/Berlin", "is empty"},
		{"a zone without a name", "CRON_TZ=", "is empty"},
		{"four fields", "0 22 * *", "expected exactly 5 fields"},
		{"six fields", "0 0 22 * * *", "expected exactly 5 fields"},
		{"hour 25", "0 25 * * *", "above maximum"},
		{"words", "every night", "expected exactly 5 fields"},
		{"no fixed times", "@every 1h", "no fixed times"},
		{"never", "0 0 30 2 *", "never fires"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse(tt.expression, time.UTC)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestZoneFails(t *testing.T) {
	for _, zone := range []string{"Mars/Olympus", "Local", "local", "../etc/passwd", "CET+1"} {
		if _, err := Zone(zone); err == nil {
			t.Errorf("zone %q: no error", zone)
		}
	}
}

// TestTwoYears walks two years in zones of all kinds and holds that a daily schedule fires once on
// each day of the wall clock.
func TestTwoYears(t *testing.T) {
	zones := []string{
		"UTC", "Europe/Berlin", "America/New_York", "America/St_Johns", "America/Sao_Paulo", "Asia/Kolkata", "Asia/Tokyo",
		"Australia/Lord_Howe", "Pacific/Apia", "Pacific/Chatham", "Africa/Cairo", "Africa/Casablanca", "America/Santiago",
		"Asia/Beirut", "Antarctica/Troll", "Europe/Dublin",
	}
	for _, zone := range zones {
		for _, expression := range []string{"0 0 * * *", "30 0 * * *", "0 1 * * *", "30 1 * * *", "0 2 * * *", "30 2 * * *", "59 23 * * *"} {
			s := mustParse(t, expression, zone)
			from := time.Date(2026, 1, 1, 12, 0, 0, 0, s.zone)
			at, days := from, 0
			for at = s.Next(at); at.Before(from.AddDate(2, 0, 0)); at = s.Next(at) {
				days++
				if gap := s.Next(at).Sub(at); gap < 21*time.Hour || gap > 27*time.Hour {
					t.Fatalf("%s in %s: %s after %s", expression, zone, gap, at)
				}
			}
			if days != 730 {
				t.Errorf("%s in %s: fired %d times in 730 days", expression, zone, days)
			}
		}
	}
}

// TestLast compares Last with the times that Next goes through.
func TestLast(t *testing.T) {
	for _, expression := range []string{"*/7 * * * *", "0 22 * * *", "0 7 * * 1", "0 0 1 * *", "30 2 * * *"} {
		s := mustParse(t, expression, "Europe/Berlin")
		start := instant(t, "2026-03-01T00:00:00Z")
		fire := s.Next(start)
		for at := start.Add(37 * time.Minute); at.Before(start.AddDate(0, 1, 5)); at = at.Add(37 * time.Minute) {
			var want time.Time
			for !fire.After(at) {
				want, fire = fire, s.Next(fire)
			}
			after := at.Add(-37 * time.Minute)
			got, found := s.Last(after, at)
			if found != !want.IsZero() || !got.Equal(want) {
				t.Fatalf("%s: last in (%s, %s] = %s, want %s", expression, after, at, got, want)
			}
			if found && !s.Fires(got) || s.Fires(at.Add(time.Second)) {
				t.Fatalf("%s: Fires is wrong around %s", expression, at)
			}
		}
		if _, found := s.Last(start, start); found {
			t.Errorf("%s: fired within no time", expression)
		}
	}
}
