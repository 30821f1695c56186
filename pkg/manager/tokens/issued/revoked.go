package issued

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RevokedName is the ConfigMap, in the manager's namespace, in which administrators revoke single tokens:
// a key is a token's jti, the value when it may be forgotten (RFC 3339). An empty value is filled in.
//
//	kubectl -n loft patch configmap loft-manager-revoked-tokens --type merge -p '{"data":{"<jti>":""}}'
const RevokedName = "loft-manager-revoked-tokens"

// TokenIDs are the revoked jti in the ConfigMap, which may be nil; whatever stands beside them.
func TokenIDs(configMap *corev1.ConfigMap) []string {
	if configMap == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(configMap.Data))
}

// EnsureRevoked makes the ConfigMap where there is none, so that there is something to patch.
func (s *Store) EnsureRevoked(ctx context.Context) error {
	configMap := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: RevokedName}}
	if _, err := s.configMaps.Create(ctx, configMap, metav1.CreateOptions{FieldManager: fieldManager}); err != nil {
		return fmt.Errorf("create ConfigMap %q: %w", RevokedName, err)
	}
	return nil
}

// TidyRevoked fills in when revoked tokens may be forgotten, and forgets those whose time has come. Where
// somebody wrote since configMap was read the error is a Conflict.
func (s *Store) TidyRevoked(ctx context.Context, configMap *corev1.ConfigMap) error {
	tidy, changed := tidied(configMap, s.clock.Now())
	if !changed {
		return nil
	}
	if _, err := s.configMaps.Update(ctx, tidy, metav1.UpdateOptions{FieldManager: fieldManager}); err != nil {
		return fmt.Errorf("update ConfigMap %q: %w", RevokedName, err)
	}
	return nil
}

// tidied takes what is no time for an empty value: then the longest time that a token lives is right.
func tidied(configMap *corev1.ConfigMap, now time.Time) (tidy *corev1.ConfigMap, changed bool) {
	tidy = configMap.DeepCopy()
	for id, value := range configMap.Data {
		end, err := time.Parse(time.RFC3339, value)
		switch {
		case err != nil:
			tidy.Data[id], changed = now.Add(longestLifetime+keepAfter).UTC().Format(time.RFC3339), true
		case now.After(end):
			delete(tidy.Data, id)
			changed = true
		}
	}
	return tidy, changed
}
