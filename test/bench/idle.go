package bench

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"sync"
	"time"

	"loft.sh/agent/test/bench/load"
	"loft.sh/agent/test/bench/result"
	"loft.sh/agent/test/bench/target"
)

const (
	// openAtOnce is how many watches are being opened at one time.
	openAtOnce = 32
	// settle is how long memory is left alone before it is read; atRest is the same for the agent, which
	// gives back what it does not need when it has been at rest for up to ten seconds.
	settle, atRest = time.Second, 12 * time.Second
)

// idleWatches opens many watches on an object that rests, one target after the other, and reads what the proxy's
// memory grew by.
func (b *bench) idleWatches(ctx context.Context) error {
	if !b.wants(workIdle) {
		return nil
	}
	for _, protocol := range b.protocols() {
		for _, t := range b.env.Targets {
			if t.PID == 0 || (t.OnlyHTTP1 && protocol != load.HTTP1) {
				continue
			}
			sample, err := b.holdIdle(ctx, t, protocol)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", t.Name, protocol, err)
			}
			key := watchKey(workIdle, protocol, t)
			key.Concurrency = b.opts.IdleWatches
			b.result.Add(key, sample)
		}
	}
	return nil
}

func (b *bench) holdIdle(ctx context.Context, t *target.Target, protocol load.Protocol) (result.Sample, error) {
	client, err := t.Client(protocol)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	// What the first requests of a kind leave behind for good is not a watch's.
	for range 50 {
		if err := repeated()[0].op(ctx, client); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	before, err := b.footprint(ctx, t)
	if err != nil {
		return nil, err
	}
	streams, err := openIdle(ctx, client, b.opts.IdleWatches)
	defer func() {
		for _, s := range streams {
			s.close()
		}
	}()
	if err != nil {
		return nil, err
	}
	after, err := b.footprint(ctx, t)
	if err != nil {
		return nil, err
	}
	perWatch := 1024 * float64(b.opts.IdleWatches)
	sample := result.Sample{
		result.Resident: mebibytes(after.resident),
		result.PerWatch: float64(after.resident-before.resident) / perWatch,
	}
	if t.Name == target.Endpoint {
		sample[result.HeapPerWatch] = float64(after.live-before.live) / perWatch
	}
	return sample, nil
}

// openIdle opens watches on an object that does not change. Each gets the object as it is, and then
// nothing: nginx keeps the head of an HTTP/2 answer back until there is something to send after it.
func openIdle(ctx context.Context, client *load.Client, count int) ([]*stream, error) {
	streams := make([]*stream, 0, count)
	errs := make(chan error, count)
	var lock sync.Mutex
	var opening sync.WaitGroup
	slots := make(chan struct{}, openAtOnce)
	for range count {
		slots <- struct{}{}
		opening.Go(func() {
			defer func() { <-slots }()
			s, err := openWatch(ctx, client, onlyWatched)
			if err == nil {
				_, err = s.next()
			}
			if err != nil {
				errs <- err
				return
			}
			lock.Lock()
			defer lock.Unlock()
			streams = append(streams, s)
		})
	}
	opening.Wait()
	select {
	case err := <-errs:
		return streams, err
	default:
		return streams, nil
	}
}

// footprint is memory in bytes.
type footprint struct{ resident, live int64 }

// memStats are the lines of a heap profile's text form that are read.
var memStats = regexp.MustCompile(`(?m)^# (HeapInuse|Stack) = (\d+)`)

// footprint lets memory settle and reads it. Of the agent it also reads live heap and stacks, after a
// garbage collection; that collection makes what is resident comparable, too.
func (b *bench) footprint(ctx context.Context, t *target.Target) (footprint, error) {
	var f footprint
	if t.Name != target.Endpoint {
		time.Sleep(settle)
	} else {
		time.Sleep(atRest)
		data, err := b.agentDebug(ctx, "heap?gc=1&debug=1")
		if err != nil {
			return f, err
		}
		for _, match := range memStats.FindAllSubmatch(data, -1) {
			size, err := strconv.ParseInt(string(match[2]), 10, 64)
			if err != nil {
				return f, fmt.Errorf("heap of the agent: %w", err)
			}
			f.live += size
		}
	}
	memory, err := t.Memory()
	f.resident = memory.Resident
	return f, err
}
