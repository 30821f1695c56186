//go:build unix && !linux

package controlplane

import "syscall"

// sysProcAttr puts the program into its own process group. Only Linux has a parent death signal.
func sysProcAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
