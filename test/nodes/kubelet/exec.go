package kubelet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
)

// ExecInContainer runs the command on this machine and returns its exit status as an
// ExitError of k8s.io/utils/exec, which is what the streaming library looks for.
func (t target) ExecInContainer(ctx context.Context, _, _, _ string, command []string, in io.Reader,
	out, errOut io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize, _ time.Duration) error {
	if len(command) == 0 {
		return errors.New("no command")
	}
	// The parent death signal is sent when the *thread* that forked ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir = t.dir
	cmd.Env = t.environment(tty)
	cmd.SysProcAttr = sysProcAttr(tty)
	cmd.Cancel = func() error { return kill(cmd.Process) }
	if tty {
		return exitError(runTerminal(cmd, in, out, resize, cancel))
	}
	return exitError(runPipes(cmd, in, out, errOut))
}

// environment gives nothing away that this process was trusted with.
func (t target) environment(tty bool) []string {
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.dir, "HOSTNAME=" + t.pod.Name,
		"POD_NAMESPACE=" + t.pod.Namespace, "NODE_NAME=" + t.pod.Spec.NodeName,
	}
	if tty {
		env = append(env, "TERM=xterm")
	}
	return env
}

// runPipes feeds stdin by itself: with cmd.Stdin set, Wait would wait for the end of the
// client's input although the command has long ended.
func runPipes(cmd *exec.Cmd, in io.Reader, out, errOut io.WriteCloser) error {
	if out != nil {
		cmd.Stdout = out
	}
	if errOut != nil {
		cmd.Stderr = errOut
	}
	if in == nil {
		return cmd.Run()
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("open stdin: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(stdin, in)
		_ = stdin.Close()
	}()
	return cmd.Wait()
}

// exitError keeps what is no exit status, such as a command that does not exist.
func exitError(err error) error {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	code := exit.ExitCode()
	if code < 0 { // killed by a signal
		code = 137
	}
	return utilexec.CodeExitError{Err: err, Code: code}
}
