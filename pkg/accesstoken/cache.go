package accesstoken

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"hash"
	"sync"
)

const (
	cacheShards    = 16
	cacheShardSize = 640 // 10,240 identities in all
	// evictionSample is how many entries are looked at to find the one that expires first.
	evictionSample = 8
)

// digest stands for a token in the cache, so that no token is kept.
type digest [sha256.Size]byte

// digester is HMAC-SHA256 under a key that only this process knows: nobody can choose tokens that meet in
// one shard, and a dump of the cache is no help in finding tokens.
type digester struct{ pool sync.Pool }

type digestState struct {
	mac hash.Hash
	// token and sum live here since what goes through the hash.Hash interface escapes to the heap.
	token []byte
	sum   digest
}

func newDigester() *digester {
	key := make([]byte, sha256.Size)
	rand.Read(key) // never fails: it ends the program instead
	return &digester{pool: sync.Pool{New: func() any {
		return &digestState{mac: hmac.New(sha256.New, key)}
	}}}
}

func (d *digester) of(token string) digest {
	s := d.pool.Get().(*digestState)
	defer d.pool.Put(s)
	s.mac.Reset()
	s.token = append(s.token[:0], token...)
	s.mac.Write(s.token)
	clear(s.token)
	s.mac.Sum(s.sum[:0])
	return s.sum
}

// cache holds identities that were verified with one snapshot. It is bounded; what is pushed out is
// verified again.
type cache struct{ shards [cacheShards]cacheShard }

type cacheShard struct {
	mu         sync.RWMutex
	identities map[digest]*Identity
}

func (c *cache) shard(d digest) *cacheShard { return &c.shards[d[0]%cacheShards] }

func (c *cache) get(d digest) *Identity {
	s := c.shard(d)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.identities[d]
}

func (c *cache) put(d digest, id *Identity) {
	s := c.shard(d)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.identities == nil {
		s.identities = map[digest]*Identity{}
	}
	if _, known := s.identities[d]; !known && len(s.identities) >= cacheShardSize {
		s.evict()
	}
	s.identities[d] = id
}

func (c *cache) remove(d digest) {
	s := c.shard(d)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.identities, d)
}

// evict removes the entry that expires first out of a few that map iteration, which is random, comes upon.
func (s *cacheShard) evict() {
	var first digest
	var firstID *Identity
	seen := 0
	for d, id := range s.identities {
		if firstID == nil || id.Expiry.Before(firstID.Expiry) {
			first, firstID = d, id
		}
		if seen++; seen == evictionSample {
			break
		}
	}
	delete(s.identities, first)
}

func (c *cache) len() int {
	n := 0
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.RLock()
		n += len(s.identities)
		s.mu.RUnlock()
	}
	return n
}
