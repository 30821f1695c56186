package tokens

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/pkg/manager/access"
	"loft.sh/agent/pkg/manager/tokens/issued"
	"loft.sh/agent/pkg/manager/tokens/signingkeys"
)

// bundleDelay lets the leader settle first what has changed, so that agents get one bundle of it and not two.
const bundleDelay = 400 * time.Millisecond

var (
	errNoClusterUID = errors.New("the UID of the cluster is not known yet")
	errNotReady     = errors.New("users, keys and issued tokens have not been read yet")
)

// Bundles makes trust bundles. It is safe for concurrent use.
type Bundles struct {
	options   Options
	directory *access.Directory
	keys      *signingkeys.Keeper
	watcher   *issued.Watcher
	clock     clock.Clock
	due       signal

	lock    sync.Mutex
	content *content
	changed chan struct{}
}

// content is what bundles of all clusters have in common.
type content struct {
	jwks        jose.JSONWebKeySet
	revocations accesstoken.Revocations
	// text tells one content from another.
	text string
	err  error
}

func newBundles(config Config, keys *signingkeys.Keeper, watcher *issued.Watcher, due signal) *Bundles {
	return &Bundles{
		options: config.Options, directory: config.Policy.Directory, keys: keys, watcher: watcher, clock: config.Clock, due: due,
		content: &content{err: errNotReady}, changed: make(chan struct{}),
	}
}

// Bundle is the trust bundle of a cluster. The error says what is missing for one; the agent is to keep
// the one that it has.
func (b *Bundles) Bundle(cluster *storagev1.Cluster) (*accesstoken.Bundle, error) {
	b.lock.Lock()
	content := b.content
	b.lock.Unlock()
	switch {
	case content.err != nil:
		return nil, fmt.Errorf("trust bundle of cluster %q: %w", cluster.Name, content.err)
	case cluster.Status.ClusterUID == "":
		return nil, fmt.Errorf("trust bundle of cluster %q: %w", cluster.Name, errNoClusterUID)
	}
	bundle := &accesstoken.Bundle{
		Issuer: b.options.Issuer, ClusterUID: cluster.Status.ClusterUID, JWKS: content.jwks, Revocations: content.revocations,
		AllowAllClusters: b.options.AllowUnscoped, StreamingConnectionIdleTimeoutSeconds: idleTimeout(cluster),
	}
	if err := bundle.Validate(); err != nil {
		return nil, fmt.Errorf("cluster %q: %w", cluster.Name, err)
	}
	return bundle, nil
}

// idleTimeout leaves out what is no number of seconds: an annotation must not keep revocations from agents.
func idleTimeout(cluster *storagev1.Cluster) *int64 {
	seconds, err := strconv.ParseInt(cluster.Annotations[storagev1.AnnotationStreamIdleTimeout], 10, 32)
	if err != nil || seconds < 0 {
		return nil
	}
	return &seconds
}

// Changed is closed when bundles next change by other things than their Cluster. Take the channel first
// and call Bundle after, so that no change falls between.
func (b *Bundles) Changed() <-chan struct{} {
	b.lock.Lock()
	defer b.lock.Unlock()
	return b.changed
}

// run keeps the content current until ctx is done. Everything must have been read once.
func (b *Bundles) run(ctx context.Context) {
	for {
		b.set(b.read(ctx))
		if !b.due.await(ctx, b.clock, bundleDelay, nil) {
			return
		}
	}
}

func (b *Bundles) set(next *content) {
	b.lock.Lock()
	defer b.lock.Unlock()
	if b.content.text == next.text && (b.content.err == nil) == (next.err == nil) {
		return
	}
	b.content = next
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *Bundles) read(ctx context.Context) *content {
	ring, err := b.keys.Ring()
	if err != nil {
		return &content{err: err}
	}
	records, err := b.watcher.Records()
	if err != nil {
		// What can be revoked is.
		klog.FromContext(ctx).Error(err, "Not all records of issued tokens can be read")
	}
	revoked, err := b.watcher.Revoked()
	if err != nil {
		return &content{err: err}
	}
	next := &content{jwks: jose.JSONWebKeySet{Keys: ring.Public()}}
	next.revocations = issued.List(revocations(records, newOwners(b.directory, b.clock.Now())), issued.TokenIDs(revoked))
	text, err := json.Marshal([]any{next.jwks, next.revocations})
	if err != nil {
		return &content{err: fmt.Errorf("encode: %w", err)}
	}
	next.text = string(text)
	revocationCount.Set(float64(len(next.revocations.TokenIDs) + len(next.revocations.AccessKeys) + len(next.revocations.Subjects)))
	return next
}

// revocations are those of all records. One that cannot be read revokes everything of its subject.
func revocations(records []issued.Stored, owners *owners) []issued.Revocation {
	var all []issued.Revocation
	for _, stored := range records {
		if stored.Err != nil {
			all = append(all, issued.Revocation{Subject: stored.Subject})
			continue
		}
		all = append(all, stored.Revocations(owners.of(stored.Subject))...)
	}
	return all
}
