//go:build unix

package controlplane

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// parentEnv makes the test binary act as a parent that starts a child and waits to be killed.
const parentEnv = "CONTROLPLANE_TEST_PARENT"

func TestMain(m *testing.M) {
	if pidFile := os.Getenv(parentEnv); pidFile != "" {
		beParent(pidFile)
	}
	os.Exit(m.Run())
}

func beParent(pidFile string) {
	child, err := StartProcess(ProcessConfig{Path: "/bin/sleep", Args: []string{"600"}, LogFile: os.DevNull})
	if err != nil {
		panic(err)
	}
	if err := replaceFile(pidFile, []byte(strconv.Itoa(child.PID()))); err != nil {
		panic(err)
	}
	<-child.Done()
	os.Exit(1)
}

// shell starts a script whose output goes to a log of its own.
func shell(t *testing.T, script string, env ...string) *Process {
	t.Helper()
	p, err := StartProcess(ProcessConfig{Name: "script", Path: "/bin/sh", Args: []string{"-c", script},
		Env: env, LogFile: filepath.Join(t.TempDir(), "script.log")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Kill() })
	return p
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, 30*time.Second, true,
		func(context.Context) (bool, error) { return condition(), nil })
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// running tells a live process from one that nobody has waited for, which the adopted
// child may stay where process 1 is no init.
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func TestProcessStop(t *testing.T) {
	for _, test := range []struct {
		name, script, wantLog string
		grace                 time.Duration
	}{
		{"ends when asked", `trap 'echo asked; exit 0' TERM; echo up; while :; do sleep 0.01; done`, "up\nasked", time.Minute},
		{"does not listen", `trap '' TERM; echo up; while :; do sleep 0.01; done`, "up", 50 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := shell(t, test.script)
			eventually(t, "first line", func() bool { return p.Tail(1) == "up" })
			for range 2 {
				if err := p.Stop(test.grace); err != nil {
					t.Fatal(err)
				}
			}
			if p.Running() || exists(p.PID()) {
				t.Error("still runs")
			}
			if err := p.Err(); err != nil {
				t.Errorf("Err() = %v after Stop", err)
			}
			if got := p.Tail(tailLines); got != test.wantLog {
				t.Errorf("log = %q, want %q", got, test.wantLog)
			}
		})
	}
}

func TestProcessKillEndsItsChildren(t *testing.T) {
	p := shell(t, `sleep 600 & echo $!; wait`)
	var child int
	eventually(t, "child's process ID", func() bool {
		child, _ = strconv.Atoi(p.Tail(1))
		return child != 0
	})
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "death of the child", func() bool { return !running(child) })
}

func TestProcessEndsByItself(t *testing.T) {
	p := shell(t, `for i in $(seq 1 30); do echo "line $i of $WHAT"; done; exit 3`, "WHAT=report")
	<-p.Done()
	err := p.Err()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"script ended by itself: exit status 3", p.LogFile(), "line 11 of report\n", "line 30 of report"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "line 10 of") {
		t.Errorf("error has more than the last %d lines:\n%v", tailLines, err)
	}
}

func TestProcessTailStartsWithThisRun(t *testing.T) {
	logFile := filepath.Join(t.TempDir(), "log")
	for _, word := range []string{"earlier", "later"} {
		p, err := StartProcess(ProcessConfig{Path: "/bin/echo", Args: []string{word}, LogFile: logFile})
		if err != nil {
			t.Fatal(err)
		}
		<-p.Done()
		if got := p.Tail(tailLines); got != word {
			t.Errorf("tail = %q, want %q", got, word)
		}
	}
	if got := readFile(t, logFile); got != "earlier\nlater\n" {
		t.Errorf("log = %q", got)
	}
}

func TestStartProcessFails(t *testing.T) {
	_, err := StartProcess(ProcessConfig{Name: "nothing", Path: "/no/such/program", LogFile: filepath.Join(t.TempDir(), "log")})
	if err == nil || !strings.Contains(err.Error(), "start nothing: ") {
		t.Errorf("error = %v", err)
	}
}
