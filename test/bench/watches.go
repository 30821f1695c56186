package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"loft.sh/agent/test/bench/load"
	"loft.sh/agent/test/bench/result"
	"loft.sh/agent/test/bench/target"
)

const (
	// eventsPerRound are sent one by one, each once the one before has arrived everywhere.
	eventsPerRound = 40
	// eventRounds count, one before them does not.
	eventRounds = 6
	// quiet is how long nothing happens before such an event.
	quiet = 3 * time.Millisecond
	// burstEvents are sent without waiting.
	burstEvents = 1000
	// replayEvents are asked for again.
	replayEvents = 2000
	// watchTimeout ends a watch that gets nothing more.
	watchTimeout = time.Minute
	onlyWatched  = "fieldSelector=metadata.name%3D" + target.WatchName
)

// watches measures what has to do with watches but for idle ones.
func (b *bench) watches(ctx context.Context) error {
	direct := target.Find(b.env.Targets, target.Direct)
	client, err := b.client(direct, load.HTTP2)
	if err != nil {
		return err
	}
	w := &writer{client: client}
	for _, protocol := range b.protocols() {
		for _, phase := range []struct {
			name string
			do   func(context.Context, load.Protocol, *writer) error
		}{
			{workEvent, b.events}, {workBurst, b.bursts}, {workReplay, b.replays},
		} {
			if !b.wants(phase.name) {
				continue
			}
			if err := phase.do(ctx, protocol, w); err != nil {
				return fmt.Errorf("%s, %s: %w", phase.name, protocol, err)
			}
		}
	}
	return nil
}

func watchKey(name string, protocol load.Protocol, t *target.Target) result.Key {
	return result.Key{Work: name, Client: string(protocol), Concurrency: 1, Target: t.Name}
}

// events measures how much later than on a direct watch an event arrives. Both watches are open at
// once; the direct target is compared with itself, which shows what the comparison can tell.
func (b *bench) events(ctx context.Context, protocol load.Protocol, w *writer) error {
	for round := range eventRounds + 1 {
		for _, t := range b.rotated(round) {
			sample, err := b.delays(ctx, protocol, t, w)
			if err != nil {
				return fmt.Errorf("%s: %w", t.Name, err)
			}
			if round > 0 {
				b.result.Add(watchKey(workEvent, protocol, t), sample)
			}
		}
	}
	return nil
}

func (b *bench) delays(ctx context.Context, protocol load.Protocol, t *target.Target, w *writer) (result.Sample, error) {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	var streams [2]*stream
	for i, from := range []*target.Target{target.Find(b.env.Targets, target.Direct), t} {
		client, err := b.client(from, protocol)
		if err != nil {
			return nil, err
		}
		if streams[i], err = openWatch(ctx, client, onlyWatched); err != nil {
			return nil, err
		}
		defer streams[i].close()
	}
	delays := make([]time.Duration, 0, eventsPerRound)
	for range eventsPerRound {
		delay, err := oneEvent(ctx, streams, w)
		if err != nil {
			return nil, err
		}
		delays = append(delays, delay)
	}
	return result.Sample{
		result.AddedP50: milliseconds(load.Quantile(delays, 0.50)),
		result.AddedP99: milliseconds(load.Quantile(delays, 0.99)),
	}, nil
}

// oneEvent writes once and returns how much later the second stream had it.
func oneEvent(ctx context.Context, streams [2]*stream, w *writer) (time.Duration, error) {
	time.Sleep(quiet)
	type arrival struct {
		event
		err error
	}
	number := w.number + 1
	var arrivals [2]chan arrival
	for i, s := range streams {
		arrivals[i] = make(chan arrival, 1)
		go func() {
			e, err := s.await(number)
			arrivals[i] <- arrival{e, err}
		}()
	}
	if err := w.write(ctx); err != nil {
		return 0, err
	}
	first, second := <-arrivals[0], <-arrivals[1]
	if first.err != nil {
		return 0, fmt.Errorf("direct: %w", first.err)
	}
	return second.arrived.Sub(first.arrived), second.err
}

// bursts sends many events to an open watch of each target, and counts those that do not arrive.
func (b *bench) bursts(ctx context.Context, protocol load.Protocol, w *writer) error {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	first, last := w.number+1, w.number+burstEvents
	counts := make([]chan counted, len(b.env.Targets))
	for i, t := range b.env.Targets {
		client, err := b.client(t, protocol)
		if err != nil {
			return err
		}
		s, err := openWatch(ctx, client, onlyWatched)
		if err != nil {
			return fmt.Errorf("%s: %w", t.Name, err)
		}
		defer s.close()
		counts[i] = make(chan counted, 1)
		go func() {
			n, err := s.count(first, last)
			counts[i] <- counted{n, err}
		}()
	}
	for range burstEvents {
		if err := w.write(ctx); err != nil {
			return err
		}
	}
	for i, t := range b.env.Targets {
		arrived := <-counts[i]
		// What has not come when the time is over is lost.
		if arrived.err != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return fmt.Errorf("%s: %w", t.Name, arrived.err)
		}
		b.result.Add(watchKey(workBurst, protocol, t), result.Sample{result.Lost: float64(burstEvents - arrived.n)})
	}
	return nil
}

// counted is how many events arrived until an error, or all that were expected.
type counted struct {
	n   int
	err error
}

// count counts the numbers from first to last that come, each after those before it, until the last.
func (s *stream) count(first, last int) (count int, err error) {
	for expected := first; expected <= last; {
		e, err := s.next()
		if err != nil {
			return count, err
		}
		if e.number < first {
			continue // the object as it was
		}
		if e.number >= expected {
			count++
			expected = e.number + 1
		}
	}
	return count, nil
}

// replays makes history and asks for all of it, again and again.
func (b *bench) replays(ctx context.Context, protocol load.Protocol, w *writer) error {
	version, err := resourceVersion(ctx, w.client)
	if err != nil {
		return err
	}
	for range replayEvents {
		if err := w.write(ctx); err != nil {
			return err
		}
	}
	for round := range b.opts.Rounds + 1 {
		for _, t := range b.rotated(round) {
			client, err := b.client(t, protocol)
			if err != nil {
				return err
			}
			took, err := replay(ctx, client, version, w.number)
			if err != nil {
				return fmt.Errorf("%s: %w", t.Name, err)
			}
			if round > 0 {
				b.result.Add(watchKey(workReplay, protocol, t), result.Sample{
					result.Round: float64(round), result.Throughput: replayEvents / took.Seconds(),
				})
			}
		}
	}
	return nil
}

// replay watches from the version until the event with the number. Over HTTP/1.1 the end of a watch is
// the end of its connection, so a request before it opens the next one outside of what is timed.
func replay(ctx context.Context, client *load.Client, version string, number int) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	if err := repeated()[0].op(ctx, client); err != nil {
		return 0, err
	}
	began := time.Now()
	s, err := openWatch(ctx, client, onlyWatched+"&resourceVersion="+version)
	if err != nil {
		return 0, err
	}
	defer s.close()
	if _, err := s.await(number); err != nil {
		return 0, err
	}
	return time.Since(began), nil
}

// resourceVersion is where the collection of watched objects is now.
func resourceVersion(ctx context.Context, client *load.Client) (string, error) {
	body, err := client.Open(ctx, http.MethodGet, objects(target.NamespaceWatch), nil)
	if err != nil {
		return "", err
	}
	defer func() { _ = body.Close() }()
	var list struct {
		Metadata struct {
			ResourceVersion string `json:"resourceVersion"`
		} `json:"metadata"`
	}
	if err := json.NewDecoder(body).Decode(&list); err != nil {
		return "", fmt.Errorf("list of watched objects: %w", err)
	}
	return list.Metadata.ResourceVersion, nil
}
