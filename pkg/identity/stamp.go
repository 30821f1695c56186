package identity

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apiserver/pkg/authentication/user"
)

// Stamp writes u as impersonation headers: name, UID, groups and extra. It fails, and writes
// nothing, where u is not an identity that Validate accepts. The header set must have been
// through Strip.
func Stamp(h http.Header, u user.Info) error {
	if err := Validate(u); err != nil {
		return err
	}
	h[authenticationv1.ImpersonateUserHeader] = []string{u.GetName()}
	if uid := u.GetUID(); uid != "" {
		h[authenticationv1.ImpersonateUIDHeader] = []string{uid}
	}
	if groups := u.GetGroups(); len(groups) > 0 {
		h[authenticationv1.ImpersonateGroupHeader] = groups[:len(groups):len(groups)]
	}
	for key, values := range u.GetExtra() {
		name := http.CanonicalHeaderKey(authenticationv1.ImpersonateUserExtraHeaderPrefix + escapeKey(key))
		h[name] = append(h[name], values...)
	}
	return nil
}

// Validate refuses what does not arrive at the API server as it was sent: an empty name, blanks
// at the ends, control characters, broken UTF-8. All faults are reported at once.
func Validate(u user.Info) error {
	if u == nil {
		return errors.New("user: missing")
	}
	errs := []error{required("user name", u.GetName()), optional("user UID", u.GetUID())}
	for _, group := range u.GetGroups() {
		errs = append(errs, required("group", group))
	}
	for key, values := range u.GetExtra() {
		errs = append(errs, required("extra key", key))
		for _, value := range values {
			errs = append(errs, optional("extra value", value))
		}
	}
	return errors.Join(errs...)
}

func required(what, value string) error {
	if value == "" {
		return fmt.Errorf("%s: must not be empty", what)
	}
	return optional(what, value)
}

func optional(what, value string) error {
	switch {
	case plain(value):
		return nil
	case !utf8.ValidString(value):
		return fmt.Errorf("%s %q: not valid UTF-8", what, value)
	case strings.TrimFunc(value, unicode.IsSpace) != value:
		return fmt.Errorf("%s %q: blank at an end", what, value)
	case strings.ContainsFunc(value, unicode.IsControl):
		return fmt.Errorf("%s %q: control character", what, value)
	}
	return nil
}

// plain is the fast answer for nearly every value: printable ASCII without blanks.
func plain(value string) bool {
	for i := range len(value) {
		if value[i] <= ' ' || value[i] >= 0x7f {
			return false
		}
	}
	return true
}

// escapeKey percent-encodes what may not stand in a header name, and upper-case letters, because
// the API server lower-cases the name before it decodes it. Same rule as client-go's transport,
// which keeps its function to itself.
func escapeKey(key string) string {
	if !strings.ContainsFunc(key, func(r rune) bool { return r >= utf8.RuneSelf || escaped(byte(r)) }) {
		return key
	}
	var b strings.Builder
	for i := range len(key) {
		if escaped(key[i]) {
			fmt.Fprintf(&b, "%%%02x", key[i])
		} else {
			b.WriteByte(key[i])
		}
	}
	return b.String()
}

// escaped says whether c must be encoded: all but the token characters of RFC 9110 section 5.6.2,
// and of those the escape character itself.
func escaped(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		return false
	}
	return !strings.ContainsRune("!#$&'*+-.^_`|~", rune(c))
}
