package chaos

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"loft.sh/agent/test/sandbox"
)

// Collect has an agent collect its garbage, so that its vitals are those of what it holds. The
// profile of that lies beside the agent's log, under name.
func (e *Env) Collect(ctx context.Context, agent *sandbox.Replica, name string) error {
	profile, err := e.inner(ctx, agent, "/debug/pprof/heap?gc=1")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(agent.Dir(), name), []byte(profile), 0o600)
}

// ResetPeak makes Peak begin anew.
func ResetPeak(agent *sandbox.Replica) error {
	// 5 resets the peak of resident memory: proc(5), clear_refs.
	err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", agent.Process().PID()), []byte("5"), 0)
	if err != nil {
		return fmt.Errorf("peak memory of the agent: %w", err)
	}
	return nil
}

// Peak is the most memory that an agent had resident since ResetPeak, or its start, in bytes.
func Peak(agent *sandbox.Replica) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", agent.Process().PID()))
	if err != nil {
		return 0, fmt.Errorf("peak memory of the agent: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("peak memory of the agent: not said")
}
