package accesstoken

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	maxTextBytes = 1024
	maxGroups    = 256
	maxExtra     = 256 // keys, and values of one key

	// maxUnix is the last second of the year 9999. Within [0, maxUnix] no difference of two dates overflows.
	maxUnix = 253402300799
)

// validate reports everything that is wrong with the claims at whatever time and in whatever cluster:
// the one rule book for tokens that are made and tokens that are read.
func (c *Claims) validate() error {
	errs := []error{
		checkText("iss", c.Issuer),
		checkSubject("sub", c.Subject),
		checkText("jti", c.ID),
		checkOptionalText("uid", c.UID),
		checkOptionalText("accessKey", c.AccessKey),
		c.validateAudience(),
	}
	errs = append(errs, c.validateDates()...)
	errs = append(errs, c.validateGroups()...)
	errs = append(errs, c.validateExtra()...)
	errs = append(errs, c.Scope.validate()...)
	errs = append(errs, c.validateReach()...)
	return errors.Join(errs...)
}

// validateAudience wants exactly one: a token that names two clusters could be replayed by one at the other.
func (c *Claims) validateAudience() error {
	if len(c.Audience) != 1 {
		return fmt.Errorf("aud: must name exactly one cluster, has %d", len(c.Audience))
	}
	return checkText("aud", c.Audience[0])
}

// validateReach holds audience and scope together. A scope that names clusters narrows a token for all of
// them, and nothing else. The name of a space means something else in each cluster.
func (c *Claims) validateReach() []error {
	if c.Scope == nil || len(c.Audience) != 1 {
		return nil
	}
	several := c.Audience[0] == AllClusters
	var errs []error
	if c.Scope.Clusters != nil && !several {
		errs = append(errs, errors.New("scope.clusters: the audience names a cluster already"))
	}
	if several && (c.Scope.Spaces != nil || c.Scope.VirtualClusters != nil) {
		errs = append(errs, errors.New("scope: spaces and virtual clusters go with one cluster as audience"))
	}
	return errs
}

func (c *Claims) validateDates() []error {
	errs := []error{checkDate("iat", c.IssuedAt), checkDate("exp", c.Expiry)}
	if c.NotBefore != nil {
		errs = append(errs, checkDate("nbf", c.NotBefore))
	}
	if errors.Join(errs...) != nil {
		return errs
	}
	lifetime := int64(*c.Expiry) - int64(*c.IssuedAt)
	switch {
	case lifetime <= 0:
		errs = append(errs, errors.New("exp: must be after iat"))
	case lifetime > int64(MaxLifetime/time.Second):
		errs = append(errs, fmt.Errorf("exp: must be at most %s after iat", MaxLifetime))
	}
	if c.NotBefore != nil && *c.NotBefore >= *c.Expiry {
		errs = append(errs, errors.New("nbf: must be before exp"))
	}
	return errs
}

func checkDate(claim string, date *jwt.NumericDate) error {
	switch {
	case date == nil:
		return fmt.Errorf("%s: required", claim)
	case *date < 0 || *date > maxUnix:
		return fmt.Errorf("%s: not between the years 1970 and 9999", claim)
	}
	return nil
}

func (c *Claims) validateGroups() []error {
	if len(c.Groups) > maxGroups {
		return []error{fmt.Errorf("groups: %d, more than %d", len(c.Groups), maxGroups)}
	}
	var errs []error
	for _, group := range c.Groups {
		errs = append(errs, checkGroup(group, c.Subject))
	}
	return errs
}

func checkGroup(group, subject string) error {
	if err := checkText("groups", group); err != nil {
		return err
	}
	switch {
	case group == groupSystemAuthenticated:
		return nil
	case strings.HasPrefix(group, "system:"):
		return fmt.Errorf("groups: %s is reserved for the system", quote(group))
	case strings.HasPrefix(group, userPrefix) && group != subject:
		return fmt.Errorf("groups: %s belongs to another user", quote(group))
	case strings.HasPrefix(group, teamPrefix) && strings.HasPrefix(subject, teamPrefix) && group != subject:
		return fmt.Errorf("groups: %s belongs to another team", quote(group))
	case group == teamPrefix:
		return fmt.Errorf("groups: %s names no team", quote(group))
	}
	if team, ok := strings.CutPrefix(group, teamPrefix); ok {
		return checkText("groups", team)
	}
	return nil
}

func (c *Claims) validateExtra() []error {
	if len(c.Extra) > maxExtra {
		return []error{fmt.Errorf("extra: %d keys, more than %d", len(c.Extra), maxExtra)}
	}
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(c.Extra)) {
		values := c.Extra[key]
		errs = append(errs, checkExtraKey(key))
		// A key without values does not survive the way through headers, so it may not start it.
		if len(values) == 0 || len(values) > maxExtra {
			errs = append(errs, fmt.Errorf("extra: %s has %d values, not 1 to %d", quote(key), len(values), maxExtra))
			continue
		}
		for _, value := range values {
			errs = append(errs, checkText("extra: value", value))
		}
	}
	return errs
}

func checkExtraKey(key string) error {
	if err := checkText("extra: key", key); err != nil {
		return err
	}
	if key != strings.ToLower(key) {
		return fmt.Errorf("extra: key %s is not lower-case", quote(key))
	}
	domain, _, _ := strings.Cut(key, "/")
	for _, reserved := range []string{"kubernetes.io", "k8s.io"} {
		if domain == reserved || strings.HasSuffix(domain, "."+reserved) {
			return fmt.Errorf("extra: key %s is reserved for the system", quote(key))
		}
	}
	return nil
}

func (s *Scope) validate() []error {
	if s == nil {
		return nil
	}
	var errs []error
	if s.Clusters != nil && len(s.Clusters) == 0 {
		errs = append(errs, errors.New("scope.clusters: an empty list could be taken for no limit"))
	}
	if s.Spaces != nil && len(s.Spaces) == 0 {
		errs = append(errs, errors.New("scope.spaces: an empty list could be taken for no limit"))
	}
	if s.VirtualClusters != nil && len(s.VirtualClusters) == 0 {
		errs = append(errs, errors.New("scope.virtualClusters: an empty list could be taken for no limit"))
	}
	for _, uid := range s.Clusters {
		errs = append(errs, checkClusterUID("scope.clusters", uid))
	}
	for _, space := range s.Spaces {
		errs = append(errs, checkText("scope.spaces", space))
	}
	for _, ref := range s.VirtualClusters {
		errs = append(errs, checkText("scope.virtualClusters.space", ref.Space), checkText("scope.virtualClusters.name", ref.Name))
	}
	return errs
}

func checkSubject(field, subject string) error {
	name, ok := strings.CutPrefix(subject, userPrefix)
	if !ok {
		name, ok = strings.CutPrefix(subject, teamPrefix)
	}
	if !ok {
		return fmt.Errorf("%s: must be %q or %q and a name", field, userPrefix, teamPrefix)
	}
	return checkText(field, name)
}

// checkClusterUID refuses the one name that stands for no single cluster.
func checkClusterUID(field, uid string) error {
	if uid == AllClusters {
		return fmt.Errorf("%s: is the audience for all clusters", field)
	}
	return checkText(field, uid)
}

func checkOptionalText(field, text string) error {
	if text == "" {
		return nil
	}
	return checkText(field, text)
}

// checkText refuses text that one hop on the way to the API server could read differently from the next:
// HTTP/1.1 trims blanks at the ends and HTTP/2 keeps them, an empty user is no impersonation at all, and
// JSON decoders turn every broken byte into U+FFFD, which makes one name of many.
func checkText(field, text string) error {
	switch {
	case text == "":
		return fmt.Errorf("%s: must not be empty", field)
	case len(text) > maxTextBytes:
		return fmt.Errorf("%s: longer than %d bytes", field, maxTextBytes)
	case !utf8.ValidString(text) || strings.ContainsRune(text, utf8.RuneError):
		return fmt.Errorf("%s: not valid UTF-8", field)
	case strings.ContainsFunc(text, unicode.IsControl):
		return fmt.Errorf("%s: %s holds a control character", field, quote(text))
	case strings.TrimFunc(text, isBlank) != text:
		return fmt.Errorf("%s: %s begins or ends with a blank", field, quote(text))
	}
	return nil
}

// isBlank counts invisible format characters (zero-width space, byte order mark) as blanks too.
func isBlank(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) }

// quote makes text from a token fit for an error message.
func quote(text string) string {
	const limit = 64
	if len(text) > limit {
		return fmt.Sprintf("%+q…", text[:limit])
	}
	return fmt.Sprintf("%+q", text)
}
