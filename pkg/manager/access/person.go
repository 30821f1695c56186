package access

import (
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/user"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/pkg/accesstoken"
)

// ExtraAccessKey is the extra field of a user.Info that names the access key by which somebody
// authenticated.
const ExtraAccessKey = "loft.sh/access-key"

const (
	userPrefix = "loft:user:"
	teamPrefix = "loft:team:"
)

// Person is who makes a request: a user, or a team whose key was used, or neither: somebody whom the
// central cluster alone knows.
type Person struct {
	// Info is what permissions are checked for.
	Info user.Info
	// User is the name of the User; empty where it is none.
	User string
	// Team is the name of the Team whose key was used; empty where it is none.
	Team string
	// Teams are the names of the teams that a user is in, or the one Team.
	Teams []string
	// AccessKey is the key by which the person authenticated; nil where it was something else.
	AccessKey *storagev1.AccessKey
	// refused is set where Info names a key that is gone or disabled, or whose owner is gone, or a
	// user or team that is disabled: nothing is theirs.
	refused bool
}

// Refused says whether the person may do nothing at all: the user, the team or the access key was
// disabled, or the key is gone.
func (p *Person) Refused() bool { return p.refused }

// Scope narrows what the person may do; nil does not.
func (p *Person) Scope() *storagev1.AccessScope {
	if p.AccessKey == nil {
		return nil
	}
	return p.AccessKey.Spec.Scope
}

// Person reads who info is.
func (d *Directory) Person(info user.Info) Person {
	p := Person{Info: info}
	gone := false
	if name, ok := strings.CutPrefix(info.GetName(), userPrefix); ok && name != "" {
		p.User = name
		u, err := d.users.Get(name)
		if gone = err != nil; !gone {
			p.Teams, p.refused = d.TeamsOf(u), u.Spec.Disabled
			p.Info = withoutTeams(info, p.Teams)
		}
	}
	if name, ok := strings.CutPrefix(info.GetName(), teamPrefix); ok && name != "" {
		p.Team, p.Teams = name, []string{name}
		t, err := d.teams.Get(name)
		if gone = err != nil; !gone {
			p.refused = t.Spec.Disabled
		}
	}
	if names := info.GetExtra()[ExtraAccessKey]; len(names) > 0 {
		key, err := d.keys.Get(names[0])
		if err != nil || key.Spec.Disabled || gone {
			p.refused = true
		} else {
			p.AccessKey = key
		}
	}
	return p
}

// withoutTeams leaves out the groups of teams that a user has left since info was made: a watch is
// asked about for as long as it is open.
func withoutTeams(info user.Info, teams []string) user.Info {
	left := func(group string) bool {
		team, ok := strings.CutPrefix(group, teamPrefix)
		return ok && !slices.Contains(teams, team)
	}
	if !slices.ContainsFunc(info.GetGroups(), left) {
		return info
	}
	return &user.DefaultInfo{
		Name: info.GetName(), UID: info.GetUID(), Extra: info.GetExtra(),
		Groups: slices.DeleteFunc(slices.Clone(info.GetGroups()), left),
	}
}

// UserInfo is how the user is known to everything that checks permissions. key may be nil.
func (d *Directory) UserInfo(u *storagev1.User, key *storagev1.AccessKey) user.Info {
	return &user.DefaultInfo{
		Name: accesstoken.PersonName(u.Name), UID: string(u.UID),
		Groups: accesstoken.PersonGroups(u.Name, d.TeamsOf(u)...), Extra: extra(key),
	}
}

// TeamInfo is how the team is known to everything that checks permissions. key may be nil.
func (d *Directory) TeamInfo(t *storagev1.Team, key *storagev1.AccessKey) user.Info {
	return &user.DefaultInfo{
		Name: accesstoken.TeamName(t.Name), UID: string(t.UID),
		Groups: accesstoken.TeamGroups(t.Name), Extra: extra(key),
	}
}

func extra(key *storagev1.AccessKey) map[string][]string {
	if key == nil {
		return nil
	}
	return map[string][]string{ExtraAccessKey: {key.Name}}
}

// TeamsOf returns the names of the teams that u is in, sorted. A disabled team has no members.
func (d *Directory) TeamsOf(u *storagev1.User) []string {
	var names []string
	for _, team := range d.allTeams() {
		if !team.Spec.Disabled && isMember(team, u) {
			names = append(names, team.Name)
		}
	}
	slices.Sort(names)
	return names
}

func isMember(team *storagev1.Team, u *storagev1.User) bool {
	return slices.Contains(team.Spec.Users, u.Name) ||
		slices.ContainsFunc(u.Spec.Groups, func(group string) bool { return slices.Contains(team.Spec.Groups, group) })
}

// User returns a user by name. The error is a NotFound where there is none.
func (d *Directory) User(name string) (*storagev1.User, error) { return d.users.Get(name) }

// Team returns a team by name. The error is a NotFound where there is none.
func (d *Directory) Team(name string) (*storagev1.Team, error) { return d.teams.Get(name) }

// BySubject returns the user whom an identity provider, or the central cluster, knows as subject.
// Two users with one subject are an error: it would be chance who of them it is.
func (d *Directory) BySubject(subject string) (*storagev1.User, error) {
	if subject == "" || strings.HasPrefix(subject, "loft:") {
		return nil, apierrors.NewNotFound(storagev1.Resource("users"), subject)
	}
	found, err := d.subjects.ByIndex(subjectIndex, subject)
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0:
		return nil, apierrors.NewNotFound(storagev1.Resource("users"), subject)
	case len(found) > 1:
		return nil, apierrors.NewConflict(storagev1.Resource("users"), subject, errAmbiguous)
	}
	return found[0].(*storagev1.User), nil
}
