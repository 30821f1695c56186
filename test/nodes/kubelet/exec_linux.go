package kubelet

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
)

// endOfTransmission is what a terminal sends for Ctrl-D.
const endOfTransmission = 4

// sysProcAttr gives the command a session, so that its children can be killed with it, and
// has the kernel kill it when this process dies.
func sysProcAttr(tty bool) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Setctty: tty, Pdeathsig: syscall.SIGKILL}
}

func kill(p *os.Process) error { return syscall.Kill(-p.Pid, syscall.SIGKILL) }

// runTerminal runs the command on a pseudo terminal. The end of the resize events is the
// client's hang-up: nothing else tells it from an input that has ended.
func runTerminal(cmd *exec.Cmd, in io.Reader, out io.Writer, resize <-chan remotecommand.TerminalSize, hangUp context.CancelFunc) error {
	master, slave, err := openTerminal()
	if err != nil {
		return err
	}
	defer master.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	err = cmd.Start()
	_ = slave.Close() // the command holds its own
	if err != nil {
		return err
	}
	if resize != nil {
		go func() {
			for size := range resize {
				setSize(master, size)
			}
			hangUp()
		}()
	}
	if in != nil {
		go func() {
			_, _ = io.Copy(master, in)
			_, _ = master.Write([]byte{endOfTransmission})
		}()
	}
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		if out != nil {
			_, _ = io.Copy(out, master) // ends with EIO once nobody holds the terminal
		}
	}()
	err = cmd.Wait()
	<-copied
	return err
}

// openTerminal follows pts(4).
func openTerminal() (master, slave *os.File, err error) {
	// Non-blocking puts the file on the runtime's poller, so that Close ends a pending Read.
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("open terminal: %w", err)
	}
	master = os.NewFile(uintptr(fd), "/dev/ptmx")
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|syscall.O_NOCTTY, 0)
	}
	if err != nil {
		_ = master.Close()
		return nil, nil, fmt.Errorf("open terminal: %w", err)
	}
	return master, slave, nil
}

// setSize goes through the raw connection: Fd would make the file blocking.
func setSize(master *os.File, size remotecommand.TerminalSize) {
	raw, err := master.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: size.Height, Col: size.Width})
	})
}
