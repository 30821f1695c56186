package signingkeys

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

const testIssuer = "https://loft.example.com"

var testNow = time.Unix(1_800_000_000, 0).UTC()

const month = 30 * 24 * time.Hour

// history is a Secret and all that agents and tokens remember of it.
type history struct {
	t        *testing.T
	ring     *Ring
	versions []version
	tokens   []token
	signed   map[string]bool
}

type version struct {
	at   time.Time
	kids []string
}

type token struct {
	kid string
	end time.Time
}

func newHistory(t *testing.T, s schedule) *history {
	t.Helper()
	ring, err := s.first(testIssuer, testNow)
	if err != nil {
		t.Fatal(err)
	}
	h := &history{t: t, signed: map[string]bool{}}
	h.store(ring, testNow)
	return h
}

// store goes through the Secret's text, as a write and a read do.
func (h *history) store(r *Ring, at time.Time) {
	h.t.Helper()
	data, err := r.encode()
	if err != nil {
		h.t.Fatal(err)
	}
	if h.ring, err = parse(testIssuer, data); err != nil {
		h.t.Fatal(err)
	}
	v := version{at: at}
	for _, key := range h.ring.Public() {
		v.kids = append(v.kids, key.KeyID)
	}
	h.versions = append(h.versions, v)
}

// lead is a leader's look at the Secret. A leader that dies before its write has changed nothing.
func (h *history) lead(s schedule, now time.Time, dies bool) {
	h.t.Helper()
	next, err := s.next(h.ring, now)
	if err != nil {
		h.t.Fatal(err)
	}
	if next != h.ring && !dies {
		h.store(next, now)
	}
}

// issue signs with what a manager takes for the key of now.
func (h *history) issue(now time.Time, lifetime time.Duration) {
	key := h.ring.Active(now)
	h.tokens = append(h.tokens, token{kid: key.ID(), end: now.Add(min(lifetime, key.MaxLifetime))})
	h.signed[key.ID()] = true
}

// check finds tokens that an agent would refuse which got its bundle late, though they have not ended.
func (h *history) check(now time.Time, late time.Duration) {
	h.t.Helper()
	i, _ := slices.BinarySearchFunc(h.versions, now.Add(-late), func(v version, at time.Time) int { return v.at.Compare(at) })
	seen := h.versions[max(0, i-1)]
	h.tokens = slices.DeleteFunc(h.tokens, func(t token) bool { return !now.Before(t.end) })
	for _, token := range h.tokens {
		if !slices.Contains(seen.kids, token.kid) {
			h.t.Fatalf("%s after the start: an agent whose bundle is %s late refuses a token that ends in %s",
				now.Sub(testNow), late, token.end.Sub(now))
		}
	}
}

// TestNinetyDaysOfRotationsRefuseNoToken has two managers with clocks of their own, leaders that die, and
// agents that get bundles up to almost a day late.
func TestNinetyDaysOfRotationsRefuseNoToken(t *testing.T) {
	for _, period := range []time.Duration{0, 8 * 24 * time.Hour, month} {
		t.Run(period.String(), func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, uint64(period)))
			s := schedule{period: period, maxLifetime: 24 * time.Hour}
			h := newHistory(t, s)
			late := max(0, s.lead()-10*time.Minute)
			most := 0
			for at := time.Duration(0); at < 90*24*time.Hour; at += 5 * time.Minute {
				now := testNow.Add(at)
				if day := int(at / (24 * time.Hour)); day%11 != 3 { // a day without any leader now and then
					h.lead(s, now.Add(skewed(random)), random.IntN(3) > 0)
				}
				if at > 24*time.Hour { // all agents have a bundle
					h.issue(now.Add(skewed(random)), time.Duration(random.Int64N(int64(s.maxLifetime))))
				}
				h.check(now, time.Duration(random.Int64N(int64(late)+1)))
				most = max(most, len(h.ring.keys))
			}
			want := 1
			if period > 0 {
				want = int(90 * 24 * time.Hour / period)
			}
			if len(h.signed) < want || most > 3 {
				t.Errorf("%d keys have signed, want at least %d; %d keys at once, want at most 3", len(h.signed), want, most)
			}
		})
	}
}

func skewed(random *rand.Rand) time.Duration {
	return time.Duration(random.Int64N(int64(4*time.Minute))) - 2*time.Minute
}

// TestRotationsByHandRefuseNoToken is about agents that get bundles within seconds.
func TestRotationsByHandRefuseNoToken(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 2))
	s := schedule{period: month, maxLifetime: time.Hour}
	h := newHistory(t, s)
	rotations := 0
	for at := time.Duration(0); at < 6*time.Hour; at += time.Second {
		now := testNow.Add(at)
		if random.IntN(600) == 0 {
			s.request += "x"
			rotations++
		}
		h.lead(s, now, random.IntN(3) > 0)
		if at > time.Minute {
			h.issue(now, time.Duration(random.Int64N(int64(s.maxLifetime))))
		}
		h.check(now, time.Duration(random.Int64N(int64(50*time.Second))))
	}
	if len(h.signed) < rotations/2 || rotations < 20 {
		t.Errorf("%d keys have signed after %d requests", len(h.signed), rotations)
	}
}

func TestRotationByHandReplacesTheKeyThatWaits(t *testing.T) {
	s := schedule{period: month, maxLifetime: 24 * time.Hour}
	h := newHistory(t, s)
	now := testNow.Add(month - 12*time.Hour)
	h.lead(s, now, false)
	if len(h.ring.keys) != 2 {
		t.Fatalf("%d keys half a day before the change, want the next one too", len(h.ring.keys))
	}
	first, waiting := h.ring.keys[0].ID(), h.ring.keys[1].ID()
	s.request = "leaked"
	h.lead(s, now, false)
	if got := h.ring.keys[len(h.ring.keys)-1]; got.ID() == waiting || !got.From.Equal(now.Add(handGrace)) {
		t.Errorf("signs from %s with key %q; want a new key in a minute", got.From.Sub(now), got.ID())
	}
	if h.ring.keys[0].ID() != first || h.ring.Active(now).ID() != first {
		t.Error("the key that signs is gone before the next one does")
	}
	before := h.ring
	h.lead(s, now.Add(time.Minute), false)
	if h.ring != before {
		t.Error("one request was served twice")
	}
}

// TestShorterLifetimesLeaveTrustInLongTokens configures a shorter lifetime while month-old tokens are out.
func TestShorterLifetimesLeaveTrustInLongTokens(t *testing.T) {
	long := schedule{period: 24 * time.Hour, maxLifetime: month}
	h := newHistory(t, long)
	h.issue(testNow, month)
	short := schedule{period: 24 * time.Hour, maxLifetime: time.Hour}
	for at := time.Duration(0); at < 40*24*time.Hour; at += time.Hour {
		h.lead(short, testNow.Add(at), false)
		h.check(testNow.Add(at), 0)
	}
	if len(h.ring.keys) > 3 {
		t.Errorf("%d keys are left, want the long token's to be gone", len(h.ring.keys))
	}
}

func TestLongerLifetimesHoldForTheKeyThatSigns(t *testing.T) {
	h := newHistory(t, schedule{maxLifetime: time.Hour})
	if got := h.ring.Active(testNow).MaxLifetime; got != time.Hour {
		t.Fatalf("longest lifetime %s, want 1h", got)
	}
	h.lead(schedule{maxLifetime: 48 * time.Hour}, testNow, false)
	if got := h.ring.Active(testNow).MaxLifetime; got != 48*time.Hour {
		t.Errorf("longest lifetime %s, want 48h", got)
	}
}

func TestEndlessRotationsByHandFillNoBundle(t *testing.T) {
	s := schedule{maxLifetime: month}
	h := newHistory(t, s)
	now := testNow
	for range 2 * MaxKeys {
		now = now.Add(10 * time.Minute)
		s.request += "x"
		next, err := s.next(h.ring, now)
		if err != nil {
			if !errors.Is(err, errTooManyKeys) {
				t.Fatal(err)
			}
			continue
		}
		h.store(next, now)
	}
	if len(h.ring.keys) != MaxKeys {
		t.Errorf("%d keys, want %d", len(h.ring.keys), MaxKeys)
	}
}

func TestBrokenSecretIsAnErrorThatTellsNoKey(t *testing.T) {
	h := newHistory(t, schedule{maxLifetime: time.Hour})
	h.lead(schedule{maxLifetime: time.Hour, request: "x"}, testNow, false)
	data, err := h.ring.encode()
	if err != nil {
		t.Fatal(err)
	}
	good := string(data)
	replace := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("%q is not in the Secret", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	tests := []struct{ name, data, want string }{
		{"empty", "", "not the JSON"},
		{"cut off", good[:len(good)/2], "not the JSON"},
		{"base64", "eyJrZXlzIjpbXX0=", "not the JSON"},
		{"two documents", good + good, "more than one"},
		{"no keys", `{"keys":[]}`, "holds no keys"},
		{"null", `null`, "holds no keys"},
		{"unknown member", replace(`"keys"`, `"revoked":true,"keys"`), "not the JSON"},
		{"no time", replace(`"signsFrom":"2027-01-15T08:00:00Z"`, `"signsFrom":null`), "keys[0]: signsFrom: required"},
		{"times in another order", replace(`"signsFrom":"2027-01-15T08:00:00Z"`, `"signsFrom":"2027-02-15T08:00:00Z"`), "keys[1]: signsFrom"},
		{"no lifetime", replace(`"maxTokenLifetime":"1h0m0s"`, `"maxTokenLifetime":"0s"`), "keys[0]: maxTokenLifetime"},
		{"endless lifetime", replace(`"maxTokenLifetime":"1h0m0s"`, `"maxTokenLifetime":"9000h"`), "keys[0]: maxTokenLifetime"},
		{"another id", replace(`"id":"`, `"id":"x`), "keys[0]: id"},
		{"no PEM", replace(`-----BEGIN PRIVATE KEY`, `-----BEGIN`), "keys[0]: privateKey"},
		{"public key", replace(`BEGIN PRIVATE KEY`, `BEGIN PUBLIC KEY`), "keys[0]: privateKey"},
		{"broken key", replace(`MIGH`, `AAAA`), "keys[0]: privateKey"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ring, err := parse(testIssuer, []byte(tt.data))
			if err == nil || ring != nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %q in it", err, tt.want)
			}
			for line := range strings.SplitSeq(h.secretLines(), "\n") {
				if len(line) > 16 && strings.Contains(err.Error(), line) {
					t.Errorf("the error tells the key: %v", err)
				}
			}
		})
	}
}

// secretLines are the lines of the private keys.
func (h *history) secretLines() string {
	data, err := h.ring.encode()
	if err != nil {
		h.t.Fatal(err)
	}
	return strings.ReplaceAll(string(data), `\n`, "\n")
}
