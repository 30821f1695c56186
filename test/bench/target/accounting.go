package target

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Memory of a target's processes in bytes.
type Memory struct{ Resident, Peak int64 }

// processes are a target's: the one that was started and its children, which stay the same. They are
// looked for once, since that takes longer than a request.
func (t *Target) processes() ([]int, error) {
	if t.pids != nil || t.PID == 0 {
		return t.pids, nil
	}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, fmt.Errorf("processes: %w", err)
	}
	found := []int{t.PID}
	for _, path := range stats {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// pid (name) state ppid …; the name may hold blanks and brackets.
		fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
		if len(fields) > 1 && fields[1] == strconv.Itoa(t.PID) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			if err != nil {
				return nil, fmt.Errorf("process of %q: %w", path, err)
			}
			found = append(found, pid)
		}
	}
	t.pids = found
	return found, nil
}

// CPU is the processor time that the target's own processes have used, from the kernel's accounting
// in nanoseconds; 0 for a target without one.
func (t *Target) CPU() (time.Duration, error) {
	return t.sum(func(pid int) (int64, error) {
		used, err := processCPU(pid)
		return int64(used), err
	})
}

func (t *Target) sum(of func(pid int) (int64, error)) (time.Duration, error) {
	pids, err := t.processes()
	if err != nil {
		return 0, err
	}
	var total int64
	for _, pid := range pids {
		value, err := of(pid)
		if err != nil {
			return 0, fmt.Errorf("%s, process %d: %w", t.Name, pid, err)
		}
		total += value
	}
	return time.Duration(total), nil
}

// Memory is what the target's processes hold now, and held at most since ResetPeak.
func (t *Target) Memory() (Memory, error) {
	pids, err := t.processes()
	if err != nil {
		return Memory{}, err
	}
	var m Memory
	for _, pid := range pids {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return Memory{}, fmt.Errorf("memory of %s: %w", t.Name, err)
		}
		m.Resident += statusBytes(data, "VmRSS:")
		m.Peak += statusBytes(data, "VmHWM:")
	}
	return m, nil
}

// statusBytes reads a size from /proc/<pid>/status.
func statusBytes(status []byte, name string) int64 {
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			kib, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kib << 10
		}
	}
	return 0
}

// ResetPeak lets the peak of memory begin anew.
func (t *Target) ResetPeak() error {
	pids, err := t.processes()
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0o200); err != nil {
			return fmt.Errorf("reset peak memory of %s: %w", t.Name, err)
		}
	}
	return nil
}
