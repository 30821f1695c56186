package central

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/pkg/manager/accesskey"
	"loft.sh/agent/pkg/manager/bootstrap"
)

// The people of an installation.
const (
	// Admin is a person who may do everything in the centre.
	Admin = "admin"
	// Alice is a person who may do everything in the connected clusters, by the ClusterAccess of
	// the same name.
	Alice = "alice"
)

// makePeople makes admin and alice, a key for each, and what they may do.
func (c *Central) makePeople(ctx context.Context) error {
	for _, name := range []string{Admin, Alice} {
		if err := c.AddPerson(ctx, name); err != nil {
			return err
		}
		key, err := c.AddKey(ctx, name, storagev1.AccessKeySpec{User: name})
		if err != nil {
			return err
		}
		c.keys[name] = key
	}
	if err := c.makeAdmins(ctx); err != nil {
		return err
	}
	return c.Allow(ctx, Alice, c.Clusters()...)
}

// AddPerson makes a user of the given name.
func (c *Central) AddPerson(ctx context.Context, name string) error {
	user := &storagev1.User{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       storagev1.UserSpec{Username: name, Email: name + "@example.com"},
	}
	if _, err := c.storage.Users().Create(ctx, user, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("user %q: %w", name, err)
	}
	return nil
}

// AddKey makes an access key of the given name, and returns its secret.
func (c *Central) AddKey(ctx context.Context, name string, spec storagev1.AccessKeySpec) (string, error) {
	secret, hash := accesskey.New()
	spec.Key = hash
	key := &storagev1.AccessKey{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}
	if _, err := c.storage.AccessKeys().Create(ctx, key, metav1.CreateOptions{}); err != nil {
		return "", fmt.Errorf("access key %q: %w", name, err)
	}
	return secret, nil
}

// Allow gives a person every right in clusters, by a ClusterAccess of the person's name.
func (c *Central) Allow(ctx context.Context, person string, clusters ...string) error {
	access := &storagev1.ClusterAccess{
		ObjectMeta: metav1.ObjectMeta{Name: person},
		Spec:       storagev1.ClusterAccessSpec{Clusters: clusters, Users: []string{person}, ClusterRole: "cluster-admin"},
	}
	if _, err := c.storage.ClusterAccesses().Create(ctx, access, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("cluster access %q: %w", person, err)
	}
	return nil
}

// makeAdmins makes admin an administrator of the centre, as the manifests bind the team's role.
func (c *Central) makeAdmins(ctx context.Context) error {
	team := &storagev1.Team{
		ObjectMeta: metav1.ObjectMeta{Name: bootstrap.Team},
		Spec:       storagev1.TeamSpec{DisplayName: "Administrators", Users: []string{Admin}},
	}
	if _, err := c.storage.Teams().Create(ctx, team, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("team %q: %w", bootstrap.Team, err)
	}
	return nil
}
