package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/spf13/cobra"

	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/test/sandbox"
)

// tokenOptions describe a token.
type tokenOptions struct {
	dir, user, uid, accessKey string
	groups, teams, extra      []string
	audiences, spaces         []string
	ttl                       time.Duration
	readOnly, unchecked       bool
	claims                    string
}

func newToken() *cobra.Command {
	o := tokenOptions{dir: defaultDir(), ttl: time.Hour}
	cmd := &cobra.Command{
		Use:   "token --user NAME",
		Short: "Print a direct endpoint token that the sandbox's agent trusts",
		Example: `  token --user alice --group dev --ttl 1h
  token --user root --group system:masters --unchecked    # must be refused`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			token, err := o.token()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), token)
			return err
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&o.dir, "dir", o.dir, "Directory of the sandbox.")
	fs.StringVar(&o.user, "user", "", "Name of the person; the user name becomes loft:user:NAME. With --unchecked it is taken as it is.")
	fs.StringVar(&o.uid, "uid", "", "UID of the person.")
	fs.StringArrayVar(&o.groups, "group", nil, "A further group.")
	fs.StringArrayVar(&o.teams, "team", nil, "A team; becomes the group loft:team:TEAM.")
	fs.StringArrayVar(&o.extra, "extra", nil, "An extra as key=value; may be given several times, also for one key.")
	fs.DurationVar(&o.ttl, "ttl", o.ttl, "How long the token is valid; may be negative.")
	fs.StringArrayVar(&o.audiences, "audience", nil, "Audience. Default: the UID of the sandbox's cluster.")
	fs.StringArrayVar(&o.spaces, "space", nil, "Limit the token to a namespace.")
	fs.BoolVar(&o.readOnly, "read-only", false, "Limit the token to reading.")
	fs.StringVar(&o.accessKey, "access-key", "", "Name of the access key that the token is said to come from.")
	fs.BoolVar(&o.unchecked, "unchecked", false, "Sign what is said, verbatim, also what must be refused.")
	fs.StringVar(&o.claims, "claims", "", "With --unchecked: a JSON object of claims that replace those of the other flags.")
	return cmd
}

func (o *tokenOptions) token() (string, error) {
	keys, err := sandbox.LoadKeys(o.dir)
	if err != nil {
		return "", err
	}
	claims, err := o.toClaims(keys)
	if err != nil {
		return "", err
	}
	if !o.unchecked {
		if o.claims != "" {
			return "", errors.New("--claims: goes with --unchecked only")
		}
		return keys.Signer().Sign(claims)
	}
	claims.Subject, claims.Issuer = o.user, keys.Signer().Issuer()
	claims.Groups = o.groups
	claims.ID = "unchecked"
	payload, err := merge(claims, o.claims)
	if err != nil {
		return "", err
	}
	return keys.Signer().SignUnchecked(nil, payload)
}

func (o *tokenOptions) toClaims(keys sandbox.Keys) (accesstoken.Claims, error) {
	now := time.Now()
	issued := now
	if o.ttl < 0 {
		issued = now.Add(2 * o.ttl)
	}
	extra := map[string][]string{}
	for _, e := range o.extra {
		key, value, ok := strings.Cut(e, "=")
		if !ok {
			return accesstoken.Claims{}, fmt.Errorf("--extra: %q is not key=value", e)
		}
		extra[key] = append(extra[key], value)
	}
	audience := o.audiences
	if len(audience) == 0 {
		audience = []string{keys.ClusterUID()}
	}
	return accesstoken.Claims{
		Subject: accesstoken.PersonName(o.user), UID: o.uid, Extra: extra, AccessKey: o.accessKey,
		Groups:   append(accesstoken.PersonGroups(o.user, o.teams...), o.groups...),
		Audience: audience, IssuedAt: jwt.NewNumericDate(issued), Expiry: jwt.NewNumericDate(now.Add(o.ttl)),
		Scope: o.scope(),
	}, nil
}

func (o *tokenOptions) scope() *accesstoken.Scope {
	if !o.readOnly && len(o.spaces) == 0 {
		return nil
	}
	return &accesstoken.Scope{ReadOnly: o.readOnly, Spaces: o.spaces}
}

// merge puts the members of the JSON object over on top of claims.
func merge(claims accesstoken.Claims, over string) (map[string]any, error) {
	data, err := json.Marshal(claims)
	if err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	merged := map[string]any{}
	if err := json.Unmarshal(data, &merged); err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	if over != "" {
		if err := json.Unmarshal([]byte(over), &merged); err != nil {
			return nil, fmt.Errorf("--claims: %w", err)
		}
	}
	return merged, nil
}
