package credential

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/rogpeppe/go-internal/lockedfile"
	"k8s.io/utils/clock"

	"loft.sh/agent/pkg/cli/centre"
	"loft.sh/agent/pkg/cli/disk"
	"loft.sh/agent/pkg/cli/failure"
	"loft.sh/agent/pkg/cli/session"
)

const (
	// renewAfter is the age from which a token is renewed.
	renewAfter = 30 * time.Minute
	// renewBefore is how long before its end a token is renewed at the latest, or a tenth of its life.
	renewBefore = 5 * time.Minute
	// patience is how long the manager has to answer while a token lives; hunger how long if none does.
	patience = 3 * time.Second
	hunger   = 20 * time.Second
	// retryAfter is how long a manager that did not answer is left alone.
	retryAfter = time.Minute
)

// Source gives tokens.
type Source struct {
	Store *session.Store
	Clock clock.PassiveClock
	// Issue asks the manager of a login for a cluster's token.
	Issue func(ctx context.Context, login session.Session, cluster string) (session.Token, error)
	// Warnf tells the person that the manager did not answer.
	Warnf func(format string, args ...any)
}

// NewSource returns a source on store.
func NewSource(store *session.Store, warnf func(format string, args ...any)) *Source {
	return &Source{Store: store, Clock: clock.RealClock{}, Issue: issue, Warnf: warnf}
}

func issue(ctx context.Context, login session.Session, cluster string) (session.Token, error) {
	client, err := centre.New(login)
	if err != nil {
		return session.Token{}, err
	}
	return client.Token(ctx, cluster)
}

// Token is the token for cluster, and until when its user need not ask again. An empty cluster is
// every cluster.
func (s *Source) Token(ctx context.Context, cluster string) (secret string, until time.Time, err error) {
	login, kept, found, err := s.Store.Token(cluster)
	if err != nil {
		return "", time.Time{}, err
	}
	now := s.Clock.Now()
	if found && now.Before(renewal(kept)) {
		return kept.Secret, renewal(kept), nil
	}
	t, err := s.renew(ctx, login, cluster, kept)
	var unanswered *centre.Unanswered
	switch {
	case err == nil:
		return t.Secret, renewal(t), nil
	case !errors.As(err, &unanswered) || !s.alive(kept):
		return "", time.Time{}, err
	}
	s.Warnf("%v; using the token from %s, which is good for another %s", unanswered,
		kept.Requested.Local().Format("15:04"), kept.Expires.Sub(now).Round(time.Minute))
	until = now.Add(retryAfter)
	if kept.Expires.Before(until) {
		until = kept.Expires
	}
	return kept.Secret, until, nil
}

// Renew asks for a token for cluster, whatever is kept, and keeps it.
func (s *Source) Renew(ctx context.Context, login session.Session, cluster string) (session.Token, error) {
	t, err := s.Issue(ctx, login, cluster)
	if err != nil {
		return session.Token{}, err
	}
	if !s.alive(t) {
		return session.Token{}, fmt.Errorf("the new token of %s ended at %s, and the clock of this machine says %s: if the clock is wrong, set it",
			login.Host, t.Expires.UTC().Format(time.RFC3339), s.Clock.Now().UTC().Format(time.RFC3339))
	}
	// A token that cannot be kept serves all the same.
	if err := s.Store.SetToken(ctx, login, cluster, t); err != nil {
		s.Warnf("The token could not be kept: %v", err)
	}
	return t, nil
}

// renewal is when a token is to be renewed.
func renewal(t session.Token) time.Time {
	end := t.Expires.Add(-min(renewBefore, t.Expires.Sub(t.Requested)/10))
	if at := t.Requested.Add(renewAfter); at.Before(end) {
		return at
	}
	return end
}

func (s *Source) alive(t session.Token) bool {
	return t.Secret != "" && s.Clock.Now().Before(t.Expires)
}

// renew gets a token from whichever process asks the manager first.
func (s *Source) renew(ctx context.Context, login session.Session, cluster string, kept session.Token) (session.Token, error) {
	wait := hunger
	if s.alive(kept) {
		wait = patience
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	lock, err := disk.Lock(ctx, s.Store.LockPath("token-"+lockName(cluster)))
	if errors.Is(err, context.DeadlineExceeded) {
		return session.Token{}, unanswered(login.Host + " has not answered another process in time")
	}
	if err != nil {
		return session.Token{}, err
	}
	defer lock.Close()
	if _, now, found, err := s.Store.Token(cluster); err == nil && found && s.Clock.Now().Before(renewal(now)) {
		return now, nil
	}
	if reason := s.failedLately(lock); reason != "" && s.alive(kept) {
		return session.Token{}, unanswered(reason)
	}
	t, err := s.Renew(ctx, login, cluster)
	s.remember(lock, err)
	return t, err
}

func unanswered(reason string) error { return &centre.Unanswered{Err: failure.TimedOutf("%s", reason)} }

// lockName is a cluster's name, or what no cluster is called.
func lockName(cluster string) string {
	if cluster == "" {
		return "_"
	}
	return cluster
}

// attempt is what the lock file says about the last request that the manager did not answer.
type attempt struct {
	Failed time.Time `json:"failed"`
	Reason string    `json:"reason"`
}

// failedLately is why the manager did not answer a moment ago; empty: it did, or nobody asked.
func (s *Source) failedLately(lock *lockedfile.File) string {
	var last attempt
	data, err := io.ReadAll(lock)
	if err != nil || json.Unmarshal(data, &last) != nil {
		return ""
	}
	if age := s.Clock.Since(last.Failed); age < 0 || age >= retryAfter {
		return ""
	}
	return last.Reason
}

// remember writes into the lock file how the request ended. It matters little if that fails.
func (s *Source) remember(lock *lockedfile.File, err error) {
	var unanswered *centre.Unanswered
	var data []byte
	if errors.As(err, &unanswered) {
		data, _ = json.Marshal(attempt{Failed: s.Clock.Now(), Reason: err.Error()})
	}
	if lock.Truncate(0) == nil {
		_, _ = lock.WriteAt(data, 0)
	}
}
