package people

import (
	"cmp"

	managementv1 "loft.sh/agent/apis/management/v1"
	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/pkg/manager/access"
)

// UserEntity names a user.
func UserEntity(u *storagev1.User) managementv1.EntityInfo {
	return managementv1.EntityInfo{
		Name: u.Name, DisplayName: u.Spec.DisplayName, Username: cmp.Or(u.Spec.Username, u.Name),
		Email: u.Spec.Email, Subject: u.Spec.Subject,
	}
}

// TeamEntity names a team.
func TeamEntity(t *storagev1.Team) managementv1.EntityInfo {
	return managementv1.EntityInfo{Name: t.Name, DisplayName: t.Spec.DisplayName, Username: cmp.Or(t.Spec.Username, t.Name)}
}

// TeamEntities names teams, those that are gone by their names alone.
func TeamEntities(directory *access.Directory, names []string) []managementv1.EntityInfo {
	entities := make([]managementv1.EntityInfo, 0, len(names))
	for _, name := range names {
		if team, err := directory.Team(name); err == nil {
			entities = append(entities, TeamEntity(team))
		} else {
			entities = append(entities, managementv1.EntityInfo{Name: name})
		}
	}
	return entities
}
