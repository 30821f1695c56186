package tokens

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/pkg/manager/access"
	"loft.sh/agent/pkg/manager/accesskey"
	"loft.sh/agent/pkg/manager/tokens/issued"
)

// owners says what is true of people at one moment.
type owners struct {
	directory   *access.Directory
	memberships *access.Memberships
	now         time.Time
}

func newOwners(directory *access.Directory, now time.Time) *owners {
	return &owners{directory: directory, memberships: directory.Memberships(), now: now}
}

// of returns the owner of a subject's tokens; somebody disabled where there is none.
func (o *owners) of(subject string) issued.Owner {
	owner := issued.Owner{Key: o.key}
	if name, ok := strings.CutPrefix(subject, accesstoken.PersonName("")); ok {
		if u, err := o.directory.User(name); err == nil {
			owner.Enabled, owner.UID, owner.Teams = !u.Spec.Disabled, string(u.UID), o.memberships.Of(u)
		}
	}
	if name, ok := strings.CutPrefix(subject, accesstoken.TeamName("")); ok {
		if t, err := o.directory.Team(name); err == nil {
			owner.Enabled, owner.UID = !t.Spec.Disabled, string(t.UID)
		}
	}
	return owner
}

func (o *owners) key(name string) (issued.Version, bool) {
	key, err := o.directory.AccessKey(name)
	if err != nil {
		return issued.Version{}, false
	}
	return versionOf(key), usable(key, o.now)
}

// usable says whether the tokens of a key count. A key that ends when it is not used made no tokens that
// live longer.
func usable(key *storagev1.AccessKey, now time.Time) bool {
	if key.Spec.TTLAfterLastActivity {
		return !key.Spec.Disabled
	}
	return accesskey.Check(key, time.Time{}, now) == nil
}

// versionOf tells a key from another of its name, and from itself with another scope.
func versionOf(key *storagev1.AccessKey) issued.Version {
	version := issued.Version{UID: string(key.UID)}
	if key.Spec.Scope != nil {
		scope, _ := json.Marshal(key.Spec.Scope) // strings and booleans alone
		sum := sha256.Sum256(scope)
		version.Scope = hex.EncodeToString(sum[:8])
	}
	return version
}
