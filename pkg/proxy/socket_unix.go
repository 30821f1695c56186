//go:build unix

package proxy

import (
	"errors"
	"syscall"
)

// nothingToRead looks at a socket without taking anything from it, and without waiting: false
// where there are bytes or an end to be read.
func nothingToRead(socket syscall.RawConn) bool {
	var nothing bool
	err := socket.Read(func(fd uintptr) bool {
		var one [1]byte
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		nothing = errors.Is(err, syscall.EAGAIN)
		return true
	})
	return err == nil && nothing
}
