// Package bootstrap makes the first administrator of a manager that knows nobody.
//
// What surprises: nothing is granted here. The manifests bind the cluster role loft-admin to the group
// of the team "admins", and the first user is in that team. The user is made last: until there is one,
// whatever was interrupted is done again, with the key that the Secret holds.
package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/klog/v2"

	storagev1 "loft.sh/agent/apis/storage/v1"
	storageclient "loft.sh/agent/generated/clientset/versioned/typed/storage/v1"
	"loft.sh/agent/pkg/manager/accesskey"
)

const (
	// User is the first administrator's name.
	User = "admin"
	// Team is the name of the team that the first administrator is in.
	Team = "admins"
	// SecretName is where the first administrator's access key is found.
	SecretName = "loft-manager-admin"
	// SecretKey is the key in that Secret.
	SecretKey = "key"

	accessKeyName = "admin-first"
	fieldManager  = "loft-manager"
	retryPeriod   = 5 * time.Second
)

var errOther = errors.New("it exists, and is of another secret; delete it, or make an administrator by hand")

// Administrator makes the first administrator.
type Administrator struct {
	// Storage reaches the custom resources, Secrets those of the manager's namespace.
	Storage storageclient.StorageV1Interface
	Secrets typedcorev1.SecretInterface
}

// Run makes the first administrator where there is no user, and returns when there is one or ctx is
// done. It is for the leader.
func (a *Administrator) Run(ctx context.Context) {
	_ = wait.PollUntilContextCancel(ctx, retryPeriod, true, func(ctx context.Context) (bool, error) {
		if err := a.make(ctx); err != nil {
			klog.ErrorS(err, "First administrator not made, trying again")
			return false, nil
		}
		return true, nil
	})
}

func (a *Administrator) make(ctx context.Context) error {
	users, err := a.Storage.Users().List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return fmt.Errorf("look for users: %w", err)
	}
	if len(users.Items) > 0 {
		return nil
	}
	secret, err := a.secret(ctx)
	if err != nil {
		return err
	}
	if err := a.key(ctx, secret); err != nil {
		return fmt.Errorf("access key %q: %w", accessKeyName, err)
	}
	if err := a.team(ctx); err != nil {
		return fmt.Errorf("team %q: %w", Team, err)
	}
	_, err = a.Storage.Users().Create(ctx, &storagev1.User{
		ObjectMeta: metav1.ObjectMeta{Name: User}, Spec: storagev1.UserSpec{DisplayName: "Administrator"},
	}, metav1.CreateOptions{FieldManager: fieldManager})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("user %q: %w", User, err)
	}
	klog.InfoS("First administrator made; the access key is in a Secret", "user", User, "secret", SecretName, "key", SecretKey)
	return nil
}

// secret returns the access key, which it writes down before anything else.
func (a *Administrator) secret(ctx context.Context) (string, error) {
	secret, _ := accesskey.New()
	_, err := a.Secrets.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: SecretName}, Data: map[string][]byte{SecretKey: []byte(secret)},
	}, metav1.CreateOptions{FieldManager: fieldManager})
	if err == nil {
		return secret, nil
	}
	if !apierrors.IsAlreadyExists(err) {
		return "", fmt.Errorf("keep the access key in Secret %q: %w", SecretName, err)
	}
	kept, err := a.Secrets.Get(ctx, SecretName, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("read the access key from Secret %q: %w", SecretName, err)
	}
	if len(kept.Data[SecretKey]) == 0 {
		return "", fmt.Errorf("the Secret %q has no %q; delete it, or put an access key of your own there", SecretName, SecretKey)
	}
	return string(kept.Data[SecretKey]), nil
}

func (a *Administrator) key(ctx context.Context, secret string) error {
	key := &storagev1.AccessKey{
		ObjectMeta: metav1.ObjectMeta{Name: accessKeyName},
		Spec: storagev1.AccessKeySpec{
			User: User, Key: accesskey.Hash(secret), DisplayName: "First access key",
			Description: "From the Secret " + SecretName + ". Make keys of your own, then delete both.",
		},
	}
	_, err := a.Storage.AccessKeys().Create(ctx, key, metav1.CreateOptions{FieldManager: fieldManager})
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	kept, err := a.Storage.AccessKeys().Get(ctx, accessKeyName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if kept.Spec.Key != key.Spec.Key || kept.Spec.User != User {
		return errOther
	}
	return nil
}

// team puts the user into the team.
func (a *Administrator) team(ctx context.Context) error {
	teams := a.Storage.Teams()
	_, err := teams.Create(ctx, &storagev1.Team{
		ObjectMeta: metav1.ObjectMeta{Name: Team}, Spec: storagev1.TeamSpec{DisplayName: "Administrators", Users: []string{User}},
	}, metav1.CreateOptions{FieldManager: fieldManager})
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	kept, err := teams.Get(ctx, Team, metav1.GetOptions{})
	if err != nil || slices.Contains(kept.Spec.Users, User) {
		return err
	}
	kept.Spec.Users = append(kept.Spec.Users, User)
	_, err = teams.Update(ctx, kept, metav1.UpdateOptions{FieldManager: fieldManager})
	return err
}
