package heap

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	// reserve, in bytes, counts as live memory and is never touched, so it takes none. The garbage
	// collector starts when the heap has doubled: without it, that would be every few megabytes of
	// requests, again and again; with it the heap grows by a bounded amount first.
	reserve = 32 << 20
	// period is how often a Keeper looks.
	period = 5 * time.Second
	// keep is how much, in bytes, is not worth giving back.
	keep = 8 << 20
)

// Keeper holds the reserve, and gives memory back while the program is at rest.
type Keeper struct {
	reserve  []byte
	giveBack func()
	// cycles is the state's at the look before; looked is set after the first.
	cycles uint64
	looked bool
}

// New returns a Keeper. The reserve counts as long as the Keeper is held.
func New() *Keeper {
	return &Keeper{reserve: make([]byte, reserve), giveBack: debug.FreeOSMemory}
}

// Run gives memory back until ctx is done.
func (k *Keeper) Run(ctx context.Context) {
	wait.UntilWithContext(ctx, func(context.Context) { k.look(read()) }, period)
}

// state is what the runtime says of its heap.
type state struct {
	// cycles is how many collections the growth of the heap has begun.
	cycles uint64
	// spare is what the program has taken from the system and does not use, in bytes: garbage, and
	// what was garbage.
	spare uint64
}

func read() state {
	samples := []metrics.Sample{
		{Name: "/gc/cycles/automatic:gc-cycles"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/gc/heap/live:bytes"},
	}
	metrics.Read(samples)
	value := func(i int) uint64 { return samples[i].Value.Uint64() }
	spare := value(1) + value(2)
	return state{cycles: value(0), spare: spare - min(spare, value(3))}
}

// look gives back what is to spare, where no collection was needed since the look before. That
// takes a collection; at rest there is time for one.
func (k *Keeper) look(now state) {
	atRest := k.looked && now.cycles == k.cycles
	k.cycles, k.looked = now.cycles, true
	if atRest && now.spare >= keep {
		k.giveBack()
	}
}
