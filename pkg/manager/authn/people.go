package authn

import (
	"errors"
	"maps"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/user"

	managementv1 "loft.sh/agent/apis/management/v1"
	"loft.sh/agent/pkg/manager/access"
)

// ownPrefix begins the names of the manager's users, groups and extra fields.
const (
	ownPrefix      = "loft:"
	ownExtraPrefix = "loft.sh/"
	systemPrefix   = "system:"
)

var errReserved = errors.New("the name is reserved")

// person is whom somebody else's word stands for: the User with that subject, or a plain identity that
// only the central cluster's RBAC knows. Nobody else's word makes somebody one of the manager's people,
// and only the central cluster's own makes somebody one of the system's.
func (a *Authenticator) person(info user.Info, central bool) (user.Info, error) {
	name := info.GetName()
	if name == "" || strings.HasPrefix(name, ownPrefix) || !central && strings.HasPrefix(name, systemPrefix) {
		return nil, errReserved
	}
	u, err := a.Directory.BySubject(name)
	switch {
	case err == nil:
		return a.Directory.UserInfo(u, nil), nil
	case !apierrors.IsNotFound(err):
		return nil, apierrors.NewForbidden(managementv1.Resource("users"), "", errors.New("more than one user has your subject; ask an administrator to correct that"))
	}
	plain := &user.DefaultInfo{Name: name, UID: info.GetUID(), Extra: maps.Clone(info.GetExtra())}
	for _, group := range info.GetGroups() {
		if !strings.HasPrefix(group, ownPrefix) && (central || !strings.HasPrefix(group, systemPrefix)) {
			plain.Groups = append(plain.Groups, group)
		}
	}
	if !slices.Contains(plain.Groups, user.AllAuthenticated) {
		plain.Groups = append(plain.Groups, user.AllAuthenticated)
	}
	maps.DeleteFunc(plain.Extra, func(key string, _ []string) bool { return strings.HasPrefix(strings.ToLower(key), ownExtraPrefix) })
	delete(plain.Extra, access.ExtraAccessKey)
	return plain, nil
}
