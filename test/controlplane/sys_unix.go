//go:build unix

package controlplane

import (
	"errors"
	"os"
	"syscall"
)

// terminate asks the program alone: it ends its own children.
func terminate(p *os.Process) error { return p.Signal(syscall.SIGTERM) }

// kill ends the whole process group.
func kill(p *os.Process) error { return syscall.Kill(-p.Pid, syscall.SIGKILL) }

// tryLock takes an exclusive lock on an open file; it ends with the file's descriptor.
func tryLock(file *os.File) (bool, error) {
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EWOULDBLOCK):
			return false, nil
		default:
			return err == nil, err
		}
	}
}
