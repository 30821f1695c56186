package authn

import (
	"net/netip"
	"sync"
	"time"

	"k8s.io/utils/clock"
	"k8s.io/utils/lru"
)

const (
	// maxAddresses bounds what is remembered. Whoever has more addresses than that has more
	// attempts, too.
	maxAddresses = 10000
	// networkBits is what one customer of an IPv6 provider gets at least.
	networkBits = 64
)

// Limiter counts failed attempts by address: burst of them at once, and perSecond from then on. An
// attempt is taken before its outcome is known, so that many at a time count, too.
type Limiter struct {
	burst, perSecond float64
	clock            clock.PassiveClock

	lock    sync.Mutex
	buckets *lru.Cache
}

// bucket holds how many attempts were left at a time.
type bucket struct {
	left float64
	at   time.Time
}

// NewLimiter allows burst failures at once and perSecond of them on average.
func NewLimiter(burst int, perSecond float64, clock clock.PassiveClock) *Limiter {
	return &Limiter{burst: float64(burst), perSecond: perSecond, clock: clock, buckets: lru.New(maxAddresses)}
}

// take counts an attempt; where none is left, it returns how long it takes until one is.
func (l *Limiter) take(address string) time.Duration {
	l.lock.Lock()
	defer l.lock.Unlock()
	b := l.bucket(address)
	if b.left < 1 {
		return time.Duration((1 - b.left) / l.perSecond * float64(time.Second))
	}
	b.left--
	return 0
}

// giveBack takes an attempt back that did not fail.
func (l *Limiter) giveBack(address string) {
	l.lock.Lock()
	defer l.lock.Unlock()
	b := l.bucket(address)
	b.left = min(l.burst, b.left+1)
}

// bucket must be called with the lock held.
func (l *Limiter) bucket(address string) *bucket {
	now := l.clock.Now()
	key := network(address)
	if found, ok := l.buckets.Get(key); ok {
		b := found.(*bucket)
		b.left = min(l.burst, b.left+max(0, now.Sub(b.at).Seconds())*l.perSecond)
		b.at = now
		return b
	}
	b := &bucket{left: l.burst, at: now}
	l.buckets.Add(key, b)
	return b
}

// network is what one client has: an IPv4 address, or a whole network of IPv6.
func network(address string) string {
	parsed, err := netip.ParseAddr(address)
	if err != nil || parsed.Unmap().Is4() {
		return address
	}
	prefix, err := parsed.WithZone("").Prefix(networkBits)
	if err != nil {
		return address
	}
	return prefix.String()
}
