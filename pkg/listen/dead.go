package listen

import (
	"context"
	"net"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"
)

const (
	// deadPeriod is how often connections are looked at, deadAfter how long one may have sent
	// bytes that nobody acknowledges.
	deadPeriod = 5 * time.Second
	deadAfter  = 25 * time.Second
)

// EndDead closes connections whose peers have been gone for half a minute while bytes for them were
// on their way, until ctx is done. TCP keep-alive finds a dead peer of an idle connection; once
// there are such bytes the kernel only sends them again, for about fifteen minutes.
// TCP_USER_TIMEOUT would end that, and with it the connection of a client that lives and does not
// read for a while, such as a pager on "logs -f".
func (l *Listener) EndDead(ctx context.Context) {
	wait.UntilWithContext(ctx, func(context.Context) { l.endDead(time.Now(), unacknowledged) }, deadPeriod)
}

func (l *Listener) endDead(now time.Time, unacknowledged func(*net.TCPConn) bool) {
	for _, c := range l.connections() {
		if !unacknowledged(c.TCPConn) {
			c.unheard = time.Time{}
			continue
		}
		if c.unheard.IsZero() {
			c.unheard = now
		}
		if now.Sub(c.unheard) >= deadAfter {
			klog.V(2).InfoS("Connection's peer is gone", "peer", c.RemoteAddr())
			_ = c.Close()
		}
	}
}

func (l *Listener) connections() []*conn {
	l.lock.Lock()
	defer l.lock.Unlock()
	open := make([]*conn, 0, len(l.open))
	for c := range l.open {
		open = append(open, c)
	}
	return open
}
