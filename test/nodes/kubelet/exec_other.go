//go:build !linux

package kubelet

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"

	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
)

func sysProcAttr(bool) *syscall.SysProcAttr { return nil }

func kill(p *os.Process) error { return p.Kill() }

func runTerminal(*exec.Cmd, io.Reader, io.Writer, <-chan remotecommand.TerminalSize, context.CancelFunc) error {
	return errors.New("terminals need Linux: exec without -t")
}
