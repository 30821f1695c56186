package listen

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// unacknowledged says whether bytes to c's peer are being sent again without an answer. A peer
// that answers that it has no room (a window of 0) is there, however long it does not read.
func unacknowledged(c *net.TCPConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	var info *unix.TCPInfo
	if raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) }) != nil || err != nil {
		return false
	}
	unheard := time.Duration(info.Last_ack_recv) * time.Millisecond
	return info.Unacked > 0 && info.Retransmits > 0 && info.Snd_wnd > 0 && unheard >= deadPeriod
}
