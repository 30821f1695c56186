package controlplane

import "syscall"

// sysProcAttr puts the program into its own process group, so that an interrupt typed at
// the terminal reaches this process alone, and has the kernel kill it when its parent dies.
func sysProcAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
