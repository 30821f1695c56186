package accesstoken

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// FuzzVerify holds that nothing panics, that every error is one of the promised kinds, and that nobody
// becomes anyone else but the one whose token was signed.
func FuzzVerify(f *testing.F) {
	w := newWorld(f)
	token := sign(f, w.signer, aliceClaims())
	want := mustVerify(f, w.verifier, token).User
	for _, seed := range []string{
		token, "", ".", "..", "...", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", `{"payload":"e30"}`,
		signUnchecked(f, w.signer, map[string]any{"alg": "none"}, aliceClaims()),
		signUnchecked(f, w.signer, map[string]any{"jwk": w.signer.PublicJWK()}, aliceClaims()),
		signUnchecked(f, w.signer, map[string]any{"crit": []string{"b64"}, "b64": false}, aliceClaims()),
		signUnchecked(f, w.signer, nil, []byte(`{"iss":"`+testIssuer+`"}`)),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		id, err := w.verifier.Verify(token)
		var refusal *Error
		switch {
		case err == nil:
			if diff := cmp.Diff(want, id.User); diff != "" {
				t.Error(diff)
			}
		case id != nil:
			t.Error("an identity came with an error")
		case !errors.Is(err, ErrForeign) && !errors.As(err, &refusal):
			t.Errorf("unexpected error %v", err)
		}
	})
}

// FuzzClaims signs whatever claims it is given with the right key: what is let in must keep the rules.
func FuzzClaims(f *testing.F) {
	w := newWorld(f)
	f.Add([]byte(`{"iss":"` + testIssuer + `","sub":"loft:user:a","aud":"` + testCluster +
		`","exp":1800000100,"iat":1800000000,"jti":"1","groups":["x"],"uid":"","extra":{"a":["b"]},"scope":{"readOnly":true}}`))
	f.Fuzz(func(t *testing.T, claims []byte) {
		id, err := w.verifier.Verify(signUnchecked(t, w.signer, nil, claims))
		if err != nil {
			return
		}
		c := Claims{Groups: id.User.GetGroups(), Extra: id.User.GetExtra(), Subject: id.User.GetName()}
		for _, err := range append(append(c.validateGroups(), c.validateExtra()...), checkSubject("sub", c.Subject)) {
			if err != nil {
				t.Error(err)
			}
		}
		if life := id.Expiry.Sub(id.IssuedAt); life <= 0 || life > MaxLifetime || !id.Expiry.After(testNow) || id.IssuedAt.After(testNow.Add(time.Minute)) {
			t.Errorf("issued %s, expires %s", id.IssuedAt, id.Expiry)
		}
	})
}
