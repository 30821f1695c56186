package identity

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestImpersonationPassesUnread(t *testing.T) {
	asked := http.Header{
		"Impersonate-User": {"bob"}, "Impersonate-Group": {"a", "b"}, "Impersonate-Uid": {"7"},
		"Impersonate-Extra-Example.com%2fkey": {"v"},
	}
	sent := asked.Clone()
	sent.Set("Accept", "x")
	deferred := Defer(sent)
	want := http.Header{
		"X-Loft-Impersonate-User": {"bob"}, "X-Loft-Impersonate-Group": {"a", "b"}, "X-Loft-Impersonate-Uid": {"7"},
		"X-Loft-Impersonate-Extra-Example.com%2fkey": {"v"},
	}
	if diff := cmp.Diff(want, deferred); diff != "" {
		t.Errorf("deferred (-want +got):\n%s", diff)
	}
	Resume(deferred)
	if diff := cmp.Diff(asked, deferred); diff != "" {
		t.Errorf("resumed (-want +got):\n%s", diff)
	}
}

func TestNothingIsDeferredWhereNobodyIsImpersonated(t *testing.T) {
	if got := Defer(http.Header{"Accept": {"x"}}); got != nil {
		t.Errorf("got %v", got)
	}
}

func TestForgedDeferredImpersonationIsNotForwarded(t *testing.T) {
	h := http.Header{"X-Loft-Impersonate-User": {"admin"}, "x-lOFT-Impersonate-Group": {"system:masters"}, "Accept": {"x"}}
	Strip(h)
	if diff := cmp.Diff(http.Header{"Accept": {"x"}}, h); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}

func TestImpersonationBesideADeferredOneIsNotResumed(t *testing.T) {
	h := http.Header{"Impersonate-Group": {"system:masters"}, "X-Loft-Impersonate-User": {"bob"}}
	Resume(h)
	if diff := cmp.Diff(http.Header{"Impersonate-User": {"bob"}}, h); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}
