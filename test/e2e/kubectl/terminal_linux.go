package kubectl

import (
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// execTerminal runs kubectl itself on a terminal, as a person does. It types in answer to what it
// sees, so the size and the words have gone both ways.
func (s *Streams) execTerminal(t *testing.T) {
	master, slave := openTerminal(t, unix.Winsize{Row: 37, Col: 91})
	cmd := s.Stream(t, "exec", "-it", StreamPod, "--", "sh", "-c", `test -t 0 && test -t 1 || exit 1
		until test "$(stty size)" = "37 91"; do sleep 0.02; done
		echo sized; read line; echo "<$line>"; exit 7`)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = slave.Close() // kubectl holds its own
	seen := &strings.Builder{}
	if !readUntil(master, seen, "sized") {
		t.Fatalf("%v: terminal shows %q, want %q", cmd.Wait(), seen, "sized")
	}
	if _, err := io.WriteString(master, "word\r"); err != nil {
		t.Error(err)
	}
	readUntil(master, seen, "\x00") // all that is left; the last holder's end is EIO
	err := cmd.Wait()
	if want := "<word>"; !strings.Contains(seen.String(), want) {
		t.Errorf("terminal shows %q, want %q", seen, want)
	}
	if cmd.ProcessState.ExitCode() != 7 {
		t.Errorf("kubectl ended with %v, want exit status 7", err)
	}
}

// readUntil reports whether text came before the end.
func readUntil(r io.Reader, seen *strings.Builder, text string) bool {
	buffer := make([]byte, 1024)
	for !strings.Contains(seen.String(), text) {
		n, err := r.Read(buffer)
		seen.Write(buffer[:n])
		if err != nil {
			return false
		}
	}
	return true
}

// openTerminal follows pts(4).
func openTerminal(t *testing.T, size unix.Winsize) (master, slave *os.File) {
	t.Helper()
	// Non-blocking puts the file on the runtime's poller, so that Close ends a pending Read.
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	master = os.NewFile(uintptr(fd), "/dev/ptmx")
	t.Cleanup(func() { _ = master.Close() })
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &size); err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return master, slave
}
