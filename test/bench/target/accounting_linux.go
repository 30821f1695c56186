package target

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// cpuClockSched makes a clock ID of a process ID; see clock_getcpuclockid(3).
const cpuClockSched = 2

// processCPU reads the processor time of a process, all of its threads, ended ones too.
func processCPU(pid int) (time.Duration, error) {
	var used unix.Timespec
	if err := unix.ClockGettime(int32(^pid)<<3|cpuClockSched, &used); err != nil {
		return 0, fmt.Errorf("processor time: %w", err)
	}
	return time.Duration(used.Nano()), nil
}
