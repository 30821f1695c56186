package accesstoken

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"
)

func TestVerifiedIdentityIsWhatWasSigned(t *testing.T) {
	w := newWorld(t)
	c := aliceClaims()
	c.Extra = map[string][]string{"example.com/team": {"blue", "grün"}}
	c.Scope = &Scope{ReadOnly: true, Spaces: []string{"team-a"}, VirtualClusters: []VirtualClusterRef{{Space: "team-a", Name: "dev"}}}
	id := mustVerify(t, w.verifier, sign(t, w.signer, c))

	if diff := cmp.Diff("loft:user:alice", id.User.GetName()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"loft:user:alice", "loft:team:blue", "loft:authenticated", "system:authenticated"}, id.User.GetGroups()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(c.Extra, id.User.GetExtra()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(*c.Scope, id.Scope); diff != "" {
		t.Error(diff)
	}
	got := []string{id.User.GetUID(), id.ID, id.AccessKey, id.KeyID, id.IssuedAt.String(), id.Expiry.String()}
	want := []string{"uid-1", "token-1", "key-1", w.signer.PublicJWK().KeyID, testNow.String(), testNow.Add(24 * time.Hour).String()}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSystemAuthenticatedIsAdded(t *testing.T) {
	w := newWorld(t)
	c := aliceClaims()
	c.Groups = []string{"a", "b", "c", "d"}
	got := mustVerify(t, w.verifier, sign(t, w.signer, c)).User.GetGroups()
	if diff := cmp.Diff([]string{"a", "b", "c", "d", "system:authenticated"}, got); diff != "" {
		t.Error(diff)
	}
	if cap(got) != len(got) {
		t.Error("an append to the shared groups would write into them")
	}
}

func TestSignFillsInWhatIsEmpty(t *testing.T) {
	w := newWorld(t)
	w.clock.SetTime(time.Now())
	c := Claims{Subject: PersonName("alice"), Audience: jwt.Audience{testCluster}, Expiry: date(time.Now().Add(time.Hour))}
	first := mustVerify(t, w.verifier, sign(t, w.signer, c))
	second := mustVerify(t, w.verifier, sign(t, w.signer, c))
	if first.ID == second.ID || len(first.ID) < 26 {
		t.Errorf("token IDs are not random: %q, %q", first.ID, second.ID)
	}
	c.Issuer = "https://other.example.com"
	if _, err := w.signer.Sign(c); err == nil {
		t.Error("signed for another issuer")
	}
}

func TestSignReportsEveryErrorAtOnce(t *testing.T) {
	w := newWorld(t)
	_, err := w.signer.Sign(Claims{Subject: "alice", Groups: []string{"system:masters", " x"}, Extra: map[string][]string{"A": nil}})
	for _, want := range []string{"sub:", "aud:", "exp:", "system:masters", `" x"`, "lower-case", "0 values"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
}

func TestSignRefusesTooLargeToken(t *testing.T) {
	w := newWorld(t)
	c := aliceClaims()
	for i := range 100 {
		c.Groups = append(c.Groups, fmt.Sprintf("group-%d-%s", i, strings.Repeat("x", 200)))
	}
	if _, err := w.signer.Sign(c); err == nil {
		t.Error("signed a token that every agent refuses")
	}
}

// badClaims are refused where tokens are made and where they are read.
var badClaims = []struct {
	name   string
	change func(*Claims)
}{
	{"SystemMasters", func(c *Claims) { c.Groups = append(c.Groups, "system:masters") }},
	{"SystemNodes", func(c *Claims) { c.Groups = append(c.Groups, "system:nodes") }},
	{"SystemUnknown", func(c *Claims) { c.Groups = append(c.Groups, "system:") }},
	{"ServiceAccountGroup", func(c *Claims) { c.Groups = append(c.Groups, "system:serviceaccounts") }},
	{"BlankBeforeSystemMasters", func(c *Claims) { c.Groups = append(c.Groups, " system:masters") }},
	{"TabBeforeSystemMasters", func(c *Claims) { c.Groups = append(c.Groups, "\tsystem:masters") }},
	{"ByteOrderMarkBeforeGroup", func(c *Claims) { c.Groups = append(c.Groups, "\ufeffsystem:masters") }},
	{"GroupOfAnotherUser", func(c *Claims) { c.Groups = append(c.Groups, "loft:user:bob") }},
	{"GroupOfNoUser", func(c *Claims) { c.Groups = append(c.Groups, "loft:user:") }},
	{"GroupOfNoTeam", func(c *Claims) { c.Groups = append(c.Groups, "loft:team:") }},
	{"GroupOfBlankTeam", func(c *Claims) { c.Groups = append(c.Groups, "loft:team: x") }},
	{"EmptyGroup", func(c *Claims) { c.Groups = append(c.Groups, "") }},
	{"GroupWithLineBreak", func(c *Claims) { c.Groups = append(c.Groups, "a\r\nImpersonate-Group: system:masters") }},
	{"TooManyGroups", func(c *Claims) { c.Groups = strings.Split(strings.Repeat("g,", 300)+"g", ",") }},

	{"NoSubject", func(c *Claims) { c.Subject = "" }},
	{"SystemSubject", func(c *Claims) { c.Subject = "system:admin" }},
	{"ServiceAccountSubject", func(c *Claims) { c.Subject = "system:serviceaccount:kube-system:default" }},
	{"SubjectWithoutName", func(c *Claims) { rename(c, "") }},
	{"BlankName", func(c *Claims) { rename(c, " ") }},
	{"TrailingBlankName", func(c *Claims) { rename(c, "alice ") }},
	{"LeadingBlankName", func(c *Claims) { rename(c, " alice") }},
	{"TrailingNoBreakSpaceName", func(c *Claims) { rename(c, "alice\u00a0") }},
	{"TrailingZeroWidthSpaceName", func(c *Claims) { rename(c, "alice\u200b") }},
	{"TrailingIdeographicSpaceName", func(c *Claims) { rename(c, "alice\u3000") }},
	{"NulName", func(c *Claims) { rename(c, "al\x00ice") }},
	{"DelName", func(c *Claims) { rename(c, "al\x7fice") }},
	{"NextLineName", func(c *Claims) { rename(c, "al\u0085ice") }},
	{"ReplacementCharacterName", func(c *Claims) { rename(c, "al\ufffdice") }},
	{"TooLongName", func(c *Claims) { rename(c, strings.Repeat("a", 1025)) }},

	{"TrailingBlankUID", func(c *Claims) { c.UID = "uid " }},
	{"TrailingBlankAccessKey", func(c *Claims) { c.AccessKey = "key-1 " }},
	{"UpperCaseExtraKey", func(c *Claims) { c.Extra = map[string][]string{"Team": {"x"}} }},
	{"KelvinSignExtraKey", func(c *Claims) { c.Extra = map[string][]string{"\u212a8s.io/x": {"x"}} }},
	{"EmptyExtraKey", func(c *Claims) { c.Extra = map[string][]string{"": {"x"}} }},
	{"BlankExtraKey", func(c *Claims) { c.Extra = map[string][]string{"team ": {"x"}} }},
	{"BlankExtraValue", func(c *Claims) { c.Extra = map[string][]string{"team": {"x "}} }},
	{"EmptyExtraValue", func(c *Claims) { c.Extra = map[string][]string{"team": {""}} }},
	{"ExtraKeyWithoutValues", func(c *Claims) { c.Extra = map[string][]string{"team": {}} }},
	{"CredentialID", func(c *Claims) { c.Extra = map[string][]string{"authentication.kubernetes.io/credential-id": {"x"}} }},
	{"ReservedDomain", func(c *Claims) { c.Extra = map[string][]string{"kubernetes.io/x": {"x"}} }},
	{"ReservedShortDomain", func(c *Claims) { c.Extra = map[string][]string{"foo.k8s.io/x": {"x"}} }},

	{"EmptySpaceList", func(c *Claims) { c.Scope = &Scope{Spaces: []string{}} }},
	{"EmptyVirtualClusterList", func(c *Claims) { c.Scope = &Scope{VirtualClusters: []VirtualClusterRef{}} }},
	{"EmptySpace", func(c *Claims) { c.Scope = &Scope{Spaces: []string{""}} }},
	{"VirtualClusterWithoutSpace", func(c *Claims) { c.Scope = &Scope{VirtualClusters: []VirtualClusterRef{{Name: "x"}}} }},

	{"NoExpiry", func(c *Claims) { c.Expiry = nil }},
	{"ExpiryBeforeIssuedAt", func(c *Claims) { c.Expiry = date(testNow.Add(-time.Second)) }},
	{"ExpiryFarAway", func(c *Claims) { c.Expiry = date(testNow.Add(MaxLifetime + time.Second)) }},
	{"LifetimeThatOverflows", func(c *Claims) { c.Expiry, c.IssuedAt = seconds(1<<62-1), seconds(-(1<<62 - 1)) }},
	{"NotBeforeAfterExpiry", func(c *Claims) { c.NotBefore = c.Expiry }},
	{"NegativeNotBefore", func(c *Claims) { c.NotBefore = seconds(-1) }},
	{"NoAudience", func(c *Claims) { c.Audience = nil }},
	{"EmptyAudience", func(c *Claims) { c.Audience = jwt.Audience{""} }},
	{"TwoAudiences", func(c *Claims) { c.Audience = append(c.Audience, "other-cluster") }},
}

func rename(c *Claims, name string) { c.Subject, c.Groups = PersonName(name), PersonGroups(name) }

func seconds(n int64) *jwt.NumericDate { d := jwt.NumericDate(n); return &d }

func TestRefusesBadClaims(t *testing.T) {
	w := newWorld(t)
	for _, tt := range badClaims {
		t.Run(tt.name, func(t *testing.T) {
			c := aliceClaims()
			tt.change(&c)
			if _, err := w.signer.Sign(c); err == nil {
				t.Error("Sign made it")
			}
			wantRefused(t, w.verifier, signUnchecked(t, w.signer, nil, c), ReasonMalformed)
		})
	}
}

func TestSignRefusesBrokenUTF8(t *testing.T) {
	w := newWorld(t)
	for i, change := range []func(*Claims){
		func(c *Claims) { rename(c, "al\xffice") },
		func(c *Claims) { c.Groups = append(c.Groups, "\xc0\xaf") },
		func(c *Claims) { c.UID = "\xed\xa0\x80" },
		func(c *Claims) { c.Extra = map[string][]string{"team": {"\xff"}} },
	} {
		c := aliceClaims()
		change(&c)
		if _, err := w.signer.Sign(c); err == nil {
			t.Errorf("case %d was signed", i)
		}
	}
}

// TestRefusesBadJSON is for what Go values cannot hold.
func TestRefusesBadJSON(t *testing.T) {
	w := newWorld(t)
	raw, err := json.Marshal(aliceClaims())
	if err != nil {
		t.Fatal(err)
	}
	good := string(raw)
	with := func(members string) string { return good[:len(good)-1] + "," + members + "}" }
	replace := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("%s is not in %s", old, good)
		}
		return strings.Replace(good, old, new, 1)
	}
	tests := map[string]string{
		"DuplicateSubject":       with(`"sub":"loft:user:bob"`),
		"DuplicateGroups":        with(`"groups":["system:masters"]`),
		"DuplicateEscaped":       with(`"gr\u006fups":["system:masters"]`),
		"DuplicateInExtra":       with(`"extra":{"a":["x"],"a":["y"]}`),
		"DuplicateInScope":       with(`"scope":{"readOnly":true,"readOnly":false}`),
		"UnknownScopeMember":     with(`"scope":{"readOnly":true,"verbs":["get"]}`),
		"ScopeMemberInCase":      with(`"scope":{"readonly":true}`),
		"NullInScope":            with(`"scope":{"spaces":null}`),
		"ScopeNoObject":          with(`"scope":"read-only"`),
		"UnknownVirtualCluster":  with(`"scope":{"virtualClusters":[{"space":"a","name":"b","only":"c"}]}`),
		"NumberAsGroup":          replace(`"loft:team:blue"`, `7`),
		"NullAsGroup":            replace(`"loft:team:blue"`, `null`),
		"ListAsGroup":            replace(`"loft:team:blue"`, `["x"]`),
		"NullAsSubject":          replace(`"loft:user:alice"`, `null`),
		"NumberAsAudience":       replace(`"aud":"`+testCluster+`"`, `"aud":7`),
		"StringAsExpiry":         replace(`"exp":1800086400`, `"exp":"1800086400"`),
		"NullAsExpiry":           replace(`"exp":1800086400`, `"exp":null`),
		"HugeExpiry":             replace(`"exp":1800086400`, `"exp":1e400`),
		"NoID":                   replace(`"jti":"token-1",`, ``),
		"NoIssuedAt":             replace(`"iat":1800000000,`, ``),
		"BrokenUTF8":             replace("loft:team:blue", "loft:team:\xff"),
		"BrokenUTF8UnknownClaim": with("\"azp\":\"\xff\""),
		"LoneSurrogate":          replace("loft:team:blue", `loft:team:\ud800`),
		"EscapedLineBreak":       replace("loft:team:blue", `loft:team:\u000a`),
		"TrailingData":           good + `{}`,
	}
	for name, claims := range tests {
		t.Run(name, func(t *testing.T) {
			wantRefused(t, w.verifier, signUnchecked(t, w.signer, nil, []byte(claims)), ReasonMalformed)
		})
	}
}

func TestAcceptsGoodNames(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"alice", "Älice", "alice@example.com", "a b", "a:b", "a/b%2f", "日本", "x\u200dy"} {
		c := aliceClaims()
		rename(&c, name)
		c.Groups = append(c.Groups, "oidc:admins", "System:masters", "loft")
		c.Extra = map[string][]string{"notkubernetes.io/x": {"y"}, "mykubernetes.io": {"z"}}
		if got := mustVerify(t, w.verifier, sign(t, w.signer, c)).User.GetName(); got != "loft:user:"+name {
			t.Errorf("got %q", got)
		}
	}
}

func TestUnknownClaimsAreIgnored(t *testing.T) {
	w := newWorld(t)
	mustVerify(t, w.verifier, signUnchecked(t, w.signer, nil, payload(t, map[string]any{"azp": "x", "Groups": []string{"system:masters"}})))
}
