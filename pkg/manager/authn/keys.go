package authn

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/utils/clock"

	storagev1 "loft.sh/agent/apis/storage/v1"
	storageclient "loft.sh/agent/generated/clientset/versioned/typed/storage/v1"
	"loft.sh/agent/pkg/bearer"
	"loft.sh/agent/pkg/door"
	"loft.sh/agent/pkg/manager/access"
	"loft.sh/agent/pkg/manager/accesskey"
)

// catchUp is how long a request waits until the informers know of a key that was just made.
const catchUp = 3 * time.Second

var (
	errNoOwner  = errors.New("the owner of the access key does not exist")
	errDisabled = errors.New("the owner of the access key is disabled")
)

// Keys authenticates by access keys.
type Keys struct {
	Directory *access.Directory
	// Storage asks for keys that the informers do not know yet.
	Storage  storageclient.StorageV1Interface
	Activity *Activity
	Clock    clock.PassiveClock
}

// known decides by what the informers know; errUnknown: they do not know the key, or not its owner.
func (k *Keys) known(token string) (door.Caller, error) {
	hash := accesskey.Hash(token)
	if hash == "" {
		return door.Caller{}, errUnknown
	}
	key := k.Directory.KeyByHash(hash)
	if key == nil {
		return door.Caller{}, errUnknown
	}
	return k.caller(key)
}

// caller is whom the key stands for, where it may be used.
func (k *Keys) caller(key *storagev1.AccessKey) (door.Caller, error) {
	used, now := k.Activity.last(key.Name), k.Clock.Now()
	if err := accesskey.Check(key, used, now); err != nil {
		return door.Caller{}, err
	}
	caller := door.Caller{}
	switch {
	case key.Spec.User != "":
		owner, err := k.Directory.User(key.Spec.User)
		if err != nil {
			return door.Caller{}, fmt.Errorf("%w: %w", errUnknown, errNoOwner)
		}
		if owner.Spec.Disabled {
			return door.Caller{}, errDisabled
		}
		caller.User = k.Directory.UserInfo(owner, key)
	case key.Spec.Team != "":
		owner, err := k.Directory.Team(key.Spec.Team)
		if err != nil {
			return door.Caller{}, fmt.Errorf("%w: %w", errUnknown, errNoOwner)
		}
		if owner.Spec.Disabled {
			return door.Caller{}, errDisabled
		}
		caller.User = k.Directory.TeamInfo(owner, key)
	default:
		return door.Caller{}, errNoOwner
	}
	k.Activity.touch(key.Name, now)
	if end, ends := accesskey.Expiry(key, now); ends && !key.Spec.TTLAfterLastActivity {
		caller.Expiry = end
	}
	return caller, nil
}

// find asks the central cluster for a key that the informers do not know. Everything else decides by
// the informers, so it waits until they do.
func (k *Keys) find(ctx context.Context, token string) (door.Caller, error) {
	hash := accesskey.Hash(token)
	if hash == "" {
		return door.Caller{}, errUnknown
	}
	found, err := k.Storage.AccessKeys().List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("spec.key", hash).String(), Limit: 2,
	})
	if err != nil {
		return door.Caller{}, fmt.Errorf("%w: look up an access key: %w", bearer.ErrUnchecked, err)
	}
	// Two keys of one secret are a fault, and neither of them counts.
	if len(found.Items) != 1 {
		return door.Caller{}, errUnknown
	}
	if err := k.findOwner(ctx, &found.Items[0]); err != nil {
		return door.Caller{}, err
	}
	return k.await(ctx, token)
}

// findOwner says whether the owner exists.
func (k *Keys) findOwner(ctx context.Context, key *storagev1.AccessKey) error {
	var err error
	if key.Spec.User != "" {
		_, err = k.Storage.Users().Get(ctx, key.Spec.User, metav1.GetOptions{})
	} else {
		_, err = k.Storage.Teams().Get(ctx, key.Spec.Team, metav1.GetOptions{})
	}
	switch {
	case apierrors.IsNotFound(err):
		return errNoOwner
	case err != nil:
		return fmt.Errorf("%w: look up the owner of access key %q: %w", bearer.ErrUnchecked, key.Name, err)
	}
	return nil
}

// await decides by the informers once they know the key.
func (k *Keys) await(ctx context.Context, token string) (door.Caller, error) {
	ctx, cancel := context.WithTimeout(ctx, catchUp)
	defer cancel()
	for {
		changed := k.Directory.Changed()
		if caller, err := k.known(token); !errors.Is(err, errUnknown) {
			return caller, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return door.Caller{}, fmt.Errorf("%w: the access key has not arrived here yet", bearer.ErrUnchecked)
		}
	}
}
