package controlplane

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// Only Linux has a parent death signal.
func TestProcessDiesWithItsParent(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	parent, err := StartProcess(ProcessConfig{Path: os.Args[0], Env: []string{parentEnv + "=" + pidFile},
		LogFile: filepath.Join(t.TempDir(), "parent.log")})
	if err != nil {
		t.Fatal(err)
	}
	defer parent.Kill()
	var pid int
	eventually(t, "child's process ID", func() bool {
		content, _ := os.ReadFile(pidFile)
		pid, _ = strconv.Atoi(string(content))
		return pid != 0
	})
	if !running(pid) {
		t.Fatalf("child %d does not run: %s", pid, parent.Tail(tailLines))
	}
	if err := parent.cmd.Process.Kill(); err != nil { // the parent alone, not its group
		t.Fatal(err)
	}
	eventually(t, "death of the child", func() bool { return !running(pid) })
}
