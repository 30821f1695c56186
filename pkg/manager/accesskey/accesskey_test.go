package accesskey

import (
	"encoding/base64"
	"errors"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	storagev1 "loft.sh/agent/apis/storage/v1"
)

func TestNew(t *testing.T) {
	secret, hash := New()
	if random, err := base64.RawURLEncoding.DecodeString(secret); err != nil || len(random) != 32 {
		t.Errorf("secret has %d bytes (%v), want 32", len(random), err)
	}
	if other, _ := New(); other == secret {
		t.Error("the same secret twice")
	}
	if !regexp.MustCompile(`^sha256:[0-9a-f]{64}$`).MatchString(hash) {
		t.Errorf("hash %q is not what the CustomResourceDefinition wants", hash)
	}
}

func TestHash(t *testing.T) {
	// SHA-256 of "abc" (FIPS 180-4, an example of NIST).
	if got, want := Hash("abc"), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := Hash(strings.Repeat("a", maxSecretBytes+1)); got != "" {
		t.Errorf("hash of what is too long: got %q, want none", got)
	}
}

func TestCheck(t *testing.T) {
	made := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	at := func(seconds int) time.Time { return made.Add(time.Duration(seconds) * time.Second) }
	activity := func(seconds int) *metav1.Time { m := metav1.NewTime(at(seconds)); return &m }
	tests := []struct {
		name         string
		spec         storagev1.AccessKeySpec
		lastActivity *metav1.Time
		used         time.Time
		now          time.Time
		want         error
	}{
		{name: "no end", now: at(math.MaxInt32)},
		{name: "disabled", spec: storagev1.AccessKeySpec{Disabled: true}, now: at(1), want: ErrDisabled},
		{name: "in time", spec: storagev1.AccessKeySpec{TTL: 60}, now: at(59)},
		{name: "expired", spec: storagev1.AccessKeySpec{TTL: 60}, now: at(60), want: ErrExpired},
		{name: "use does not prolong", spec: storagev1.AccessKeySpec{TTL: 60}, lastActivity: activity(50), used: at(50), now: at(60), want: ErrExpired},
		{name: "never used", spec: storagev1.AccessKeySpec{TTL: 60, TTLAfterLastActivity: true}, now: at(60), want: ErrIdle},
		{name: "used, written", spec: storagev1.AccessKeySpec{TTL: 60, TTLAfterLastActivity: true}, lastActivity: activity(50), now: at(109)},
		{name: "idle", spec: storagev1.AccessKeySpec{TTL: 60, TTLAfterLastActivity: true}, lastActivity: activity(50), now: at(110), want: ErrIdle},
		{name: "used, not written yet", spec: storagev1.AccessKeySpec{TTL: 60, TTLAfterLastActivity: true}, used: at(50), now: at(109)},
		{name: "overflow", spec: storagev1.AccessKeySpec{TTL: math.MaxInt64}, now: at(1)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			key := &storagev1.AccessKey{Spec: tt.spec, Status: storagev1.AccessKeyStatus{LastActivity: tt.lastActivity}}
			key.CreationTimestamp = metav1.NewTime(made)
			if got := Check(key, tt.used, tt.now); !errors.Is(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
