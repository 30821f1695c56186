package accesskey

import (
	"errors"
	"time"

	storagev1 "loft.sh/agent/apis/storage/v1"
)

// Why a key is refused.
var (
	ErrDisabled = errors.New("the access key is disabled")
	ErrExpired  = errors.New("the access key has expired")
	ErrIdle     = errors.New("the access key has not been used for too long")
)

// Check says whether key may be used at now. used is when it was used last as far as the caller
// knows, which may be later than what the key's status says; zero: not known.
func Check(key *storagev1.AccessKey, used, now time.Time) error {
	if key.Spec.Disabled {
		return ErrDisabled
	}
	end, ends := Expiry(key, used)
	switch {
	case !ends || now.Before(end):
		return nil
	case key.Spec.TTLAfterLastActivity:
		return ErrIdle
	default:
		return ErrExpired
	}
}

// Expiry is when key ends, if it does, where it is not used again; see Check.
func Expiry(key *storagev1.AccessKey, used time.Time) (end time.Time, ends bool) {
	if key.Spec.TTL <= 0 {
		return time.Time{}, false
	}
	from := key.CreationTimestamp.Time
	if key.Spec.TTLAfterLastActivity {
		if last := key.Status.LastActivity; last != nil && last.After(from) {
			from = last.Time
		}
		if used.After(from) {
			from = used
		}
	}
	const longest = int64(100 * 365 * 24 * time.Hour / time.Second) // Duration ends at 292 years
	return from.Add(time.Duration(min(key.Spec.TTL, longest)) * time.Second), true
}
