package session

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// legacyLifetime is how long a token of a 2.x client lives that does not say so itself.
const legacyLifetime = 24 * time.Hour

// Token is a direct endpoint token.
type Token struct {
	// Secret is the token itself.
	Secret string
	// Requested is when it was asked for; Expires is its end.
	Requested, Expires time.Time
}

// NewToken returns the token that was asked for at requested. expires is what its issuer said of its
// end; zero: the token itself says it, or it lives a day.
func NewToken(secret string, requested, expires time.Time) Token {
	if expires.IsZero() {
		expires = expiry(secret)
	}
	if expires.IsZero() {
		expires = requested.Add(legacyLifetime)
	}
	return Token{Secret: secret, Requested: requested, Expires: expires}
}

// expiry reads the end of a JWT, which it does not verify: whoever gets the token does. Zero: it does
// not say.
func expiry(secret string) time.Time {
	parts := strings.Split(secret, ".")
	if len(parts) != 3 {
		return time.Time{}
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Expiry float64 `json:"exp"`
	}
	if err != nil || json.Unmarshal(payload, &claims) != nil || claims.Expiry <= 0 {
		return time.Time{}
	}
	return time.Unix(int64(claims.Expiry), 0)
}

// Token returns the login and the token that is kept for cluster: its own, or one for every cluster,
// which stands where 2.x clients keep theirs. found is false where there is none.
func (s *Store) Token(cluster string) (login Session, t Token, found bool, err error) {
	d, err := s.read()
	if err != nil {
		return Session{}, Token{}, false, err
	}
	login, err = s.session(d)
	if err != nil {
		return Session{}, Token{}, false, err
	}
	if kept, ok := d.Tokens[cluster]; ok {
		if kept.Token == "" && d.Storage == StorageKeyring {
			// What the keyring lost is asked for again.
			kept.Token, _ = s.keyring.get(s.account(d.Host, tokenAccount+cluster))
		}
		if kept.Token != "" {
			return login, Token{Secret: kept.Token, Requested: kept.Requested, Expires: kept.Expires}, true, nil
		}
	}
	if d.DirectToken != "" && d.DirectAsked != nil {
		return login, NewToken(d.DirectToken, d.DirectAsked.Time, time.Time{}), true, nil
	}
	return login, Token{}, false, nil
}

// SetToken keeps the token for cluster, or for every cluster if that is empty, that was asked for in
// login. If that is no longer the session,
// it does nothing.
func (s *Store) SetToken(ctx context.Context, login Session, cluster string, t Token) error {
	return s.update(ctx, func(d *document) error {
		now, err := s.session(d)
		if err != nil || now.Host != login.Host || now.AccessKey != login.AccessKey {
			return nil
		}
		kept := token{Token: t.Secret, Requested: t.Requested.UTC().Truncate(time.Second), Expires: t.Expires.UTC()}
		// A keyring may refuse what is long; the file takes it.
		if d.Storage == StorageKeyring && s.keyring.set(s.account(d.Host, tokenAccount+cluster), t.Secret) == nil {
			kept.Token = ""
		}
		if cluster == "" && kept.Token != "" {
			asked := metav1.NewTime(kept.Requested)
			d.DirectToken, d.DirectAsked = t.Secret, &asked
			return nil
		}
		if d.Tokens == nil {
			d.Tokens = map[string]token{}
		}
		d.Tokens[cluster] = kept
		return nil
	})
}
