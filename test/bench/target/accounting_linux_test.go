package target

import (
	"os"
	"testing"
	"time"
)

func TestCPUCountsWhatAProcessUses(t *testing.T) {
	self := &Target{Name: "self", PID: os.Getpid()}
	before, err := self.CPU()
	if err != nil {
		t.Fatal(err)
	}
	const busy = 50 * time.Millisecond
	for began := time.Now(); ; {
		after, err := self.CPU()
		if err != nil {
			t.Fatal(err)
		}
		if after-before >= busy {
			return
		}
		if time.Since(began) > 10*time.Second {
			t.Fatalf("used %s in 10 s of work, want %s", after-before, busy)
		}
	}
}

func TestMemoryPeakBeginsAnew(t *testing.T) {
	self := &Target{Name: "self", PID: os.Getpid()}
	m, err := self.Memory()
	if err != nil {
		t.Fatal(err)
	}
	if m.Resident < 1<<20 || m.Peak < m.Resident/2 {
		t.Errorf("got %+v, want some MiB", m)
	}
	if err := self.ResetPeak(); err != nil {
		t.Error(err)
	}
}

func TestWithoutProcessNothingIsUsed(t *testing.T) {
	none := &Target{Name: Direct}
	cpu, err := none.CPU()
	if cpu != 0 || err != nil {
		t.Errorf("got %s, %v; want 0", cpu, err)
	}
}

func TestStatusBytes(t *testing.T) {
	status := []byte("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n")
	if got := statusBytes(status, "VmRSS:"); got != 1<<20 {
		t.Errorf("got %d, want %d", got, 1<<20)
	}
}
