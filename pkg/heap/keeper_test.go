package heap

import (
	"runtime/debug"
	"testing"
)

func TestOnlyAProgramAtRestGivesBack(t *testing.T) {
	steps := []struct {
		name   string
		cycles uint64
		spare  uint64
		want   bool
	}{
		{name: "the first look, which cannot tell", cycles: 5, spare: 2 * keep},
		{name: "collections since: not at rest", cycles: 6, spare: 2 * keep},
		{name: "at rest", cycles: 6, spare: 2 * keep, want: true},
		{name: "at rest, with little to give", cycles: 6, spare: keep - 1},
		{name: "at rest, and much came together", cycles: 6, spare: keep, want: true},
		{name: "a rush", cycles: 9, spare: 3 * keep},
	}
	given := false
	k := Keeper{giveBack: func() { given = true }}
	for _, step := range steps {
		given = false
		k.look(state{cycles: step.cycles, spare: step.spare})
		if given != step.want {
			t.Errorf("%s: given back: %t, want %t", step.name, given, step.want)
		}
	}
}

var sink []byte

func TestSpareIsWhatIsGivenBack(t *testing.T) {
	before := debug.SetGCPercent(-1)
	defer debug.SetGCPercent(before)
	debug.FreeOSMemory()
	small := read().spare
	for range 64 {
		sink = make([]byte, 1<<20)
	}
	sink = nil
	if full := read().spare; full < small+48<<20 {
		t.Errorf("%d bytes to spare with 64 MiB of garbage, %d before", full, small)
	}
	debug.FreeOSMemory()
	if after := read().spare; after > small+8<<20 {
		t.Errorf("%d bytes to spare after they were given back, %d before", after, small)
	}
}

func TestReserveIsNoSpare(t *testing.T) {
	debug.FreeOSMemory()
	before := read().spare
	k := New()
	debug.FreeOSMemory()
	if after := read().spare; after > before+8<<20 {
		t.Errorf("%d bytes to spare with the reserve, %d without", after, before)
	}
	if len(k.reserve) != reserve {
		t.Errorf("reserve of %d bytes", len(k.reserve))
	}
}
