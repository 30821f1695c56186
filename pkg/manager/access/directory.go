package access

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/tools/cache"

	storagev1 "loft.sh/agent/apis/storage/v1"
	storageinformers "loft.sh/agent/generated/informers/externalversions/storage/v1"
	storagelisters "loft.sh/agent/generated/listers/storage/v1"
)

const (
	subjectIndex = "subject"
	keyIndex     = "key"
)

var errAmbiguous = errors.New("more than one user has this subject")

// Directory knows users, teams, keys and accesses from informers. The objects that it returns are
// shared: they must not be changed.
type Directory struct {
	users    storagelisters.UserLister
	teams    storagelisters.TeamLister
	keys     storagelisters.AccessKeyLister
	accesses storagelisters.ClusterAccessLister
	clusters storagelisters.ClusterLister
	subjects cache.Indexer
	hashes   cache.Indexer
	synced   []cache.InformerSynced

	lock    sync.Mutex
	changed chan struct{}
}

// NewDirectory reads from informers, which the caller starts. It must be called before that.
func NewDirectory(informers storageinformers.Interface) (*Directory, error) {
	users, keys := informers.Users().Informer(), informers.AccessKeys().Informer()
	if err := users.AddIndexers(cache.Indexers{subjectIndex: indexSubject}); err != nil {
		return nil, fmt.Errorf("index users by subject: %w", err)
	}
	if err := keys.AddIndexers(cache.Indexers{keyIndex: indexKey}); err != nil {
		return nil, fmt.Errorf("index access keys by hash: %w", err)
	}
	d := &Directory{
		users: informers.Users().Lister(), teams: informers.Teams().Lister(), keys: informers.AccessKeys().Lister(),
		accesses: informers.ClusterAccesses().Lister(), clusters: informers.Clusters().Lister(),
		subjects: users.GetIndexer(), hashes: keys.GetIndexer(), changed: make(chan struct{}),
	}
	for name, informer := range map[string]cache.SharedIndexInformer{
		"users": users, "teams": informers.Teams().Informer(), "accesskeys": keys,
		"clusteraccesses": informers.ClusterAccesses().Informer(), "clusters": informers.Clusters().Informer(),
	} {
		if err := d.listen(name, informer); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// listen tells who waits for changes of what decides about access. A change of a status alone
// decides nothing.
func (d *Directory) listen(name string, informer cache.SharedIndexInformer) error {
	d.synced = append(d.synced, informer.HasSynced)
	if name == "clusters" {
		return nil
	}
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { d.notify() },
		DeleteFunc: func(any) { d.notify() },
		UpdateFunc: func(before, after any) {
			if generation(before) != generation(after) {
				d.notify()
			}
		},
	})
	if err != nil {
		return fmt.Errorf("listen to %s: %w", name, err)
	}
	return nil
}

func (d *Directory) notify() {
	d.lock.Lock()
	defer d.lock.Unlock()
	close(d.changed)
	d.changed = make(chan struct{})
}

// Changed is closed when something next changes that decides about access.
func (d *Directory) Changed() <-chan struct{} {
	d.lock.Lock()
	defer d.lock.Unlock()
	return d.changed
}

// Synced says whether everything has been read once.
func (d *Directory) Synced() bool {
	return !slices.ContainsFunc(d.synced, func(synced cache.InformerSynced) bool { return !synced() })
}

// WaitForSync returns false where ctx ends before everything has been read.
func (d *Directory) WaitForSync(ctx context.Context) bool {
	return cache.WaitForCacheSync(ctx.Done(), d.synced...)
}

// KeyByHash returns the access key with that spec.key; nil: there is none. Several keys of one hash
// are a fault, and none of them counts.
func (d *Directory) KeyByHash(hash string) *storagev1.AccessKey {
	found, err := d.hashes.ByIndex(keyIndex, hash)
	if err != nil || len(found) != 1 {
		return nil
	}
	return found[0].(*storagev1.AccessKey)
}

// Granted returns the clusters that a ClusterAccess gives to the user or team, or everything.
func (d *Directory) Granted(p *Person) Set {
	granted := Set{names: sets.New[string]()}
	for _, access := range d.allAccesses() {
		if !names(access, p) {
			continue
		}
		if slices.Contains(access.Spec.Clusters, storagev1.Everything) {
			return Set{all: true}
		}
		granted.names.Insert(access.Spec.Clusters...)
	}
	return granted
}

// names says whether the access is p's.
func names(access *storagev1.ClusterAccess, p *Person) bool {
	if p.User != "" && (slices.Contains(access.Spec.Users, p.User) || slices.Contains(access.Spec.Users, storagev1.Everything)) {
		return true
	}
	return slices.ContainsFunc(p.Teams, func(team string) bool { return slices.Contains(access.Spec.Teams, team) })
}

// Members returns the users and teams that a ClusterAccess names for cluster, without those that do
// not exist or are disabled, sorted by name.
func (d *Directory) Members(cluster string) (users []*storagev1.User, teams []*storagev1.Team) {
	userNames, teamNames := sets.New[string](), sets.New[string]()
	for _, access := range d.allAccesses() {
		if slices.Contains(access.Spec.Clusters, cluster) || slices.Contains(access.Spec.Clusters, storagev1.Everything) {
			userNames.Insert(access.Spec.Users...)
			teamNames.Insert(access.Spec.Teams...)
		}
	}
	for _, u := range d.allUsers() {
		if !u.Spec.Disabled && (userNames.Has(u.Name) || userNames.Has(storagev1.Everything)) {
			users = append(users, u)
		}
	}
	for _, t := range d.allTeams() {
		if !t.Spec.Disabled && teamNames.Has(t.Name) {
			teams = append(teams, t)
		}
	}
	slices.SortFunc(users, func(a, b *storagev1.User) int { return compare(a.Name, b.Name) })
	slices.SortFunc(teams, func(a, b *storagev1.Team) int { return compare(a.Name, b.Name) })
	return users, teams
}

// A lister over an informer's cache returns no error for a selector that matches everything.
func (d *Directory) allTeams() []*storagev1.Team {
	teams, _ := d.teams.List(labels.Everything())
	return teams
}

func (d *Directory) allUsers() []*storagev1.User {
	users, _ := d.users.List(labels.Everything())
	return users
}

func (d *Directory) allAccesses() []*storagev1.ClusterAccess {
	accesses, _ := d.accesses.List(labels.Everything())
	return accesses
}
