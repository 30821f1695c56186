package central

import (
	"context"
	"fmt"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/pkg/manager/accesskey"
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
	if err := c.bindAdmin(ctx); err != nil {
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

// bindAdmin makes admin an administrator of the centre.
func (c *Central) bindAdmin(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(c.cluster.RESTConfig())
	if err != nil {
		return fmt.Errorf("client of the central cluster: %w", err)
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "loft-admin"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "loft-admin"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: accesstoken.PersonName(Admin)}},
	}
	if _, err := client.RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("bind the administrator: %w", err)
	}
	return nil
}
