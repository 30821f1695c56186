package controlplane

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

// ProcessConfig says what to run and where its output goes.
type ProcessConfig struct {
	// Name is used in errors; the default is Path.
	Name string
	Path string
	Args []string
	// Env is added to the environment of this process.
	Env []string
	// Dir is the working directory; the default is this process's own.
	Dir string
	// LogFile takes stdout and stderr. It is appended to, so that a restarted
	// program keeps what the killed one said last.
	LogFile string
}

// Process is a running program in a process group of its own. On Linux the kernel kills it
// when this process ends, even by SIGKILL.
type Process struct {
	cfg      ProcessConfig
	cmd      *exec.Cmd
	logStart int64
	done     chan struct{}

	mu       sync.Mutex
	stopping bool
	waitErr  error
}

// StartProcess starts a program. It returns once the program was executed, not once it is ready.
func StartProcess(cfg ProcessConfig) (*Process, error) {
	if cfg.Name == "" {
		cfg.Name = cfg.Path
	}
	logFile, err := os.OpenFile(cfg.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log of %s: %w", cfg.Name, err)
	}
	defer logFile.Close() // the program holds its own copy
	info, err := logFile.Stat()
	if err != nil {
		return nil, fmt.Errorf("size of log %q: %w", cfg.LogFile, err)
	}

	cmd := exec.Command(cfg.Path, cfg.Args...)
	cmd.Env = append(os.Environ(), cfg.Env...)
	cmd.Dir = cfg.Dir
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.SysProcAttr = sysProcAttr()

	p := &Process{cfg: cfg, cmd: cmd, logStart: info.Size(), done: make(chan struct{})}
	started := make(chan error, 1)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cfg.Name, err)
	}
	return p, nil
}

// run starts the program and waits for its end on one locked thread. The parent death
// signal is sent when the *thread* that forked ends, so that thread has to live as long
// as the program; an unlocked goroutine's thread may be ended by the runtime at any time.
func (p *Process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := p.cmd.Start(); err != nil {
		started <- err
		return
	}
	started <- nil
	err := p.cmd.Wait()
	p.mu.Lock()
	p.waitErr = err
	p.mu.Unlock()
	close(p.done)
}

// Name returns the name used in errors.
func (p *Process) Name() string { return p.cfg.Name }

// Command returns the program and its arguments.
func (p *Process) Command() []string { return append([]string{p.cfg.Path}, p.cfg.Args...) }

// PID returns the process ID, which is also the ID of its process group.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed once the program has ended and was waited for.
func (p *Process) Done() <-chan struct{} { return p.done }

// LogFile returns the path of the log.
func (p *Process) LogFile() string { return p.cfg.LogFile }

// Running reports whether the program has not ended yet.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Err returns nil while the program runs and after [Process.Stop] or [Process.Kill].
// When it ended by itself, also with status 0, the error holds the end of its log.
func (p *Process) Err() error {
	if p.Running() {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopping {
		return nil
	}
	cause := p.waitErr
	if cause == nil {
		cause = errors.New("exit status 0")
	}
	return fmt.Errorf("%s ended by itself: %w; the last lines of its log %s:\n%s",
		p.cfg.Name, cause, p.cfg.LogFile, p.Tail(tailLines))
}

// Stop asks the program to end (SIGTERM) and kills it when it has not after grace.
// It returns once the program is gone; stopping a program that has ended is no error.
func (p *Process) Stop(grace time.Duration) error {
	if !p.beginStop() {
		return nil
	}
	if err := terminate(p.cmd.Process); err != nil && p.Running() {
		return fmt.Errorf("stop %s: %w", p.cfg.Name, err)
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-timer.C:
		return p.Kill()
	}
}

// Kill ends the program and its process group at once (SIGKILL) and waits for its end.
func (p *Process) Kill() error {
	if !p.beginStop() {
		return nil
	}
	if err := kill(p.cmd.Process); err != nil && p.Running() {
		return fmt.Errorf("kill %s: %w", p.cfg.Name, err)
	}
	<-p.done
	return nil
}

// beginStop notes that the end is wanted and reports whether the program still runs.
func (p *Process) beginStop() bool {
	if !p.Running() {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopping = true
	return true
}
