package accesstoken

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4/json" // case-sensitive, and refuses duplicate members, unlike encoding/json
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	// AllClusters is the audience of a token for more than one cluster: for those that its scope names, or
	// else for every cluster whose bundle allows it.
	AllClusters = "loft.sh/all-clusters"

	// MaxTokenBytes is the longest token that is signed or looked at.
	MaxTokenBytes = 16 << 10
	// MaxLifetime is the longest time between iat and exp.
	MaxLifetime = 30 * 24 * time.Hour
	// Leeway is how far nbf and iat may lie in the future. exp has none.
	Leeway = 60 * time.Second
)

const (
	userPrefix               = "loft:user:"
	teamPrefix               = "loft:team:"
	groupLoftAuthenticated   = "loft:authenticated"
	groupSystemAuthenticated = "system:authenticated"
)

// Claims is the payload of a direct endpoint token (RFC 7519, section 4.1, and ours).
type Claims struct {
	Issuer string `json:"iss"`
	// Subject is the user name, PersonName("alice") or TeamName("blue").
	Subject string `json:"sub"`
	// Audience is one cluster's UID, or AllClusters: of these, Scope.Clusters may name some.
	Audience  jwt.Audience     `json:"aud"`
	Expiry    *jwt.NumericDate `json:"exp"`
	NotBefore *jwt.NumericDate `json:"nbf,omitempty"`
	IssuedAt  *jwt.NumericDate `json:"iat"`
	// ID names this one token, so that it can be revoked.
	ID string `json:"jti"`

	Groups []string            `json:"groups"`
	UID    string              `json:"uid"`
	Extra  map[string][]string `json:"extra,omitempty"`
	// Scope narrows what the token may do; nil does not.
	Scope *Scope `json:"scope,omitempty"`
	// AccessKey is the name of the access key that the token came from, if any.
	AccessKey string `json:"accessKey,omitempty"`
}

// Scope narrows what a token may do. The zero value narrows nothing. Lists are written with omitzero, since
// omitempty would turn an empty list ("nothing") into an absent one ("no limit").
type Scope struct {
	ReadOnly bool `json:"readOnly,omitempty"`
	// Clusters are UIDs. The audience is AllClusters then.
	Clusters        []string            `json:"clusters,omitzero"`
	Spaces          []string            `json:"spaces,omitzero"`
	VirtualClusters []VirtualClusterRef `json:"virtualClusters,omitzero"`
}

// VirtualClusterRef names a virtual cluster by its space and name.
type VirtualClusterRef struct {
	Space string `json:"space"`
	Name  string `json:"name"`
}

// UnmarshalJSON refuses unknown members and null, either of which would widen the scope.
func (s *Scope) UnmarshalJSON(data []byte) error {
	return errors.Join(decodeObject("scope", data, map[string]any{
		"readOnly":        &s.ReadOnly,
		"clusters":        &s.Clusters,
		"spaces":          &s.Spaces,
		"virtualClusters": &s.VirtualClusters,
	})...)
}

// UnmarshalJSON refuses unknown members and null.
func (r *VirtualClusterRef) UnmarshalJSON(data []byte) error {
	return errors.Join(decodeObject("virtualClusters", data, map[string]any{
		"space": &r.Space,
		"name":  &r.Name,
	})...)
}

// PersonName is the user name of a person.
func PersonName(name string) string { return userPrefix + name }

// PersonGroups are the groups of a person who belongs to the given teams.
func PersonGroups(name string, teams ...string) []string {
	groups := make([]string, 0, len(teams)+3)
	groups = append(groups, userPrefix+name)
	for _, team := range teams {
		if group := teamPrefix + team; !slices.Contains(groups, group) {
			groups = append(groups, group)
		}
	}
	return append(groups, groupLoftAuthenticated, groupSystemAuthenticated)
}

// TeamName is the user name of a team, whose access keys stand for no person.
func TeamName(name string) string { return teamPrefix + name }

// TeamGroups are the groups of a team that is the subject itself.
func TeamGroups(name string) []string {
	return []string{teamPrefix + name, groupLoftAuthenticated, groupSystemAuthenticated}
}

// decodeObject reads the members of a JSON object into fields and returns an error for each one that is
// unknown, null or of another type.
func decodeObject(path string, data []byte, fields map[string]any) []error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil || members == nil {
		return []error{fmt.Errorf("%s: not an object without duplicate members", path)}
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(members)) {
		field, known := fields[name]
		switch value := members[name]; {
		case !known:
			errs = append(errs, fmt.Errorf("%s: unknown member %s", path, quote(name)))
		case bytes.Equal(bytes.TrimSpace(value), []byte("null")):
			errs = append(errs, fmt.Errorf("%s.%s: must not be null", path, name))
		default:
			if err := json.Unmarshal(value, field); err != nil {
				errs = append(errs, fmt.Errorf("%s.%s: %w", path, name, err))
			}
		}
	}
	return errs
}
