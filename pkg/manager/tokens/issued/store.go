package issued

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/clock"

	"loft.sh/agent/pkg/accesstoken"
)

const (
	// Label marks the ConfigMaps that hold records.
	Label = "loft.sh/issued-tokens"

	labelValue   = "true"
	namePrefix   = "loft-manager-issued-"
	recordKey    = "record.json"
	fieldManager = "loft-manager"
	// maxNameBytes is the longest name of a ConfigMap.
	maxNameBytes = 253
	// writeTimeout bounds how long after its cutoff was computed a write can take effect.
	writeTimeout = 5 * time.Second
	// maxAhead is how far in the future a token may be dated, for agents take a minute.
	maxAhead = 40 * time.Second
	// longestLifetime is how long any token lives at most.
	longestLifetime = accesstoken.MaxLifetime
)

// Store keeps records as ConfigMaps.
type Store struct {
	configMaps corev1client.ConfigMapInterface
	clock      clock.PassiveClock
}

// NewStore keeps records in a namespace.
func NewStore(client kubernetes.Interface, namespace string, clock clock.PassiveClock) *Store {
	return &Store{configMaps: client.CoreV1().ConfigMaps(namespace), clock: clock}
}

// Stored is a record as it was read.
type Stored struct {
	Record
	// Err says why the record cannot be read; it is empty but for its subject then.
	Err error

	configMap *corev1.ConfigMap
}

// Note writes down that a token is about to be issued, and returns the second in which it is to be
// dated. It must not be issued where the error is not nil. It asks the API server each time: a record
// out of a cache could lack the cutoff that another manager has just written.
func (s *Store) Note(ctx context.Context, token Token, owner Owner) (issuedAt time.Time, err error) {
	lost := func(err error) bool {
		return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err)
	}
	err = retry.OnError(retry.DefaultBackoff, lost, func() error {
		issuedAt, err = s.noteOnce(ctx, token, owner)
		return err
	})
	return issuedAt, err
}

func (s *Store) noteOnce(ctx context.Context, token Token, owner Owner) (time.Time, error) {
	now := s.clock.Now()
	stored, err := s.get(ctx, token.Subject)
	if err != nil {
		return time.Time{}, err
	}
	stored.Subject = token.Subject
	if stored.Err != nil {
		stored = stored.Revoked(now)
	}
	extended, changed, err := stored.Extend(token, owner, now)
	if err != nil {
		return time.Time{}, err
	}
	issuedAt := extended.IssuedAt(now)
	if ahead := issuedAt.Sub(now); ahead > maxAhead {
		return time.Time{}, fmt.Errorf("tokens of %q are revoked for the next %s: another manager's clock is ahead of this one's", token.Subject, ahead)
	}
	if !changed {
		return issuedAt, nil
	}
	stored.Record = extended
	return issuedAt, s.Put(ctx, stored)
}

// Revoked returns a record in place of one that cannot be read.
func (s Stored) Revoked(now time.Time) Stored {
	s.Record, s.Err = unreadable(s.Subject, now), nil
	return s
}

// unreadable takes the place of a record that cannot be read: no token counts that can have been issued.
func unreadable(subject string, now time.Time) Record {
	return Record{Subject: subject, Until: now.Add(longestLifetime).Unix(), Cutoff: now.Add(maxAhead).Unix() - 1}
}

func (s *Store) get(ctx context.Context, subject string) (Stored, error) {
	name := nameOf(subject)
	configMap, err := s.configMaps.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return Stored{Record: Record{Subject: subject}}, nil
	}
	if err != nil {
		return Stored{}, fmt.Errorf("get ConfigMap %q: %w", name, err)
	}
	return Read(configMap), nil
}

// Put writes a record, against the version that was read: the error is a Conflict, an AlreadyExists or a
// NotFound where somebody wrote since.
func (s *Store) Put(ctx context.Context, stored Stored) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	data, err := json.Marshal(stored.Record)
	if err != nil {
		return fmt.Errorf("record of %q: %w", stored.Subject, err)
	}
	if stored.configMap == nil {
		configMap := &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: nameOf(stored.Subject), Labels: map[string]string{Label: labelValue}},
			Data:       map[string]string{recordKey: string(data)},
		}
		if _, err := s.configMaps.Create(ctx, configMap, metav1.CreateOptions{FieldManager: fieldManager}); err != nil {
			return fmt.Errorf("create ConfigMap %q: %w", configMap.Name, err)
		}
		return nil
	}
	configMap := stored.configMap.DeepCopy()
	if configMap.Labels == nil {
		configMap.Labels = map[string]string{}
	}
	configMap.Labels[Label] = labelValue
	configMap.Data = map[string]string{recordKey: string(data)}
	if _, err := s.configMaps.Update(ctx, configMap, metav1.UpdateOptions{FieldManager: fieldManager}); err != nil {
		return fmt.Errorf("update ConfigMap %q: %w", configMap.Name, err)
	}
	return nil
}

// Delete takes a record away, unless somebody wrote since it was read.
func (s *Store) Delete(ctx context.Context, stored Stored) error {
	preconditions := &metav1.Preconditions{UID: &stored.configMap.UID, ResourceVersion: &stored.configMap.ResourceVersion}
	if err := s.configMaps.Delete(ctx, stored.configMap.Name, metav1.DeleteOptions{Preconditions: preconditions}); err != nil {
		return fmt.Errorf("delete ConfigMap %q: %w", stored.configMap.Name, err)
	}
	return nil
}

// Read reads a record out of its ConfigMap.
func Read(configMap *corev1.ConfigMap) Stored {
	stored := Stored{configMap: configMap}
	err := json.Unmarshal([]byte(configMap.Data[recordKey]), &stored.Record)
	if err == nil && nameOf(stored.Subject) != configMap.Name {
		err = fmt.Errorf("is about %q", stored.Subject)
	}
	if err != nil {
		stored.Record = Record{Subject: subjectOf(configMap.Name)}
		stored.Err = fmt.Errorf("ConfigMap %q, key %q: %w", configMap.Name, recordKey, err)
	}
	return stored
}

const (
	subjectPrefix = "loft:"
	hashed        = "sha256."
)

// nameOf is where the record of a subject is: loft:user:alice in user.alice. A name that is too long is
// in its hash.
func nameOf(subject string) string {
	kind, name, _ := strings.Cut(strings.TrimPrefix(subject, subjectPrefix), ":")
	if plain := namePrefix + kind + "." + name; len(plain) <= maxNameBytes {
		return plain
	}
	sum := sha256.Sum256([]byte(subject))
	return namePrefix + hashed + hex.EncodeToString(sum[:])
}

// subjectOf is the way back, and empty where there is none.
func subjectOf(name string) string {
	rest := strings.TrimPrefix(name, namePrefix)
	kind, name, found := strings.Cut(rest, ".")
	if !found || kind != "user" && kind != "team" {
		return ""
	}
	return subjectPrefix + kind + ":" + name
}
