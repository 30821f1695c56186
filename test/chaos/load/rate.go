package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxInFlight bounds what waits for answers, against a server that never gives one.
const maxInFlight = 10_000

var errTooMany = errors.New("not sent: too many requests wait for their answers")

// Sample is one request.
type Sample struct {
	Answer
	At   time.Time
	Took time.Duration
}

// End is when the answer was there.
func (s Sample) End() time.Time { return s.At.Add(s.Took) }

// Samples are requests in the order of their answers.
type Samples []Sample

// Rate is load under way.
type Rate struct {
	cancel  context.CancelFunc
	ended   chan struct{}
	lock    sync.Mutex
	samples Samples
}

// Start sends perSecond requests a second until Stop, or ctx is done. Each may take timeout.
func Start(ctx context.Context, perSecond int, timeout time.Duration, do Do) *Rate {
	sending, cancel := context.WithCancel(ctx)
	r := &Rate{cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		var requests sync.WaitGroup
		defer requests.Wait()
		ticker := time.NewTicker(time.Second / time.Duration(perSecond))
		defer ticker.Stop()
		places := make(chan struct{}, maxInFlight)
		for {
			select {
			case <-sending.Done():
				return
			case <-ticker.C:
			}
			select {
			case places <- struct{}{}:
				requests.Go(func() {
					r.one(ctx, timeout, do)
					<-places
				})
			default:
				r.add(Sample{Answer: Answer{Err: errTooMany}, At: time.Now()})
			}
		}
	}()
	return r
}

func (r *Rate) one(ctx context.Context, timeout time.Duration, do Do) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	began := time.Now()
	answer := do(ctx)
	r.add(Sample{Answer: answer, At: began, Took: time.Since(began)})
}

func (r *Rate) add(s Sample) {
	r.lock.Lock()
	defer r.lock.Unlock()
	r.samples = append(r.samples, s)
}

// Stop sends nothing more, waits for the answers that are due, and returns all samples.
func (r *Rate) Stop() Samples {
	r.cancel()
	<-r.ended
	return r.samples
}

// So returns the samples so far.
func (r *Rate) So() Samples {
	r.lock.Lock()
	defer r.lock.Unlock()
	return slices.Clone(r.samples)
}

// Where keeps the samples that keep wants.
func (s Samples) Where(keep func(Sample) bool) Samples {
	var kept Samples
	for _, sample := range s {
		if keep(sample) {
			kept = append(kept, sample)
		}
	}
	return kept
}

// Failed keeps those that did not succeed.
func (s Samples) Failed() Samples { return s.Where(func(a Sample) bool { return !a.OK() }) }

// Code keeps those with a code; 0 means no answer.
func (s Samples) Code(code int) Samples {
	return s.Where(func(a Sample) bool { return a.Code == code })
}

// Quantile of the times that requests took, such as 0.99; 0 where there are none.
func (s Samples) Quantile(q float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	times := make([]time.Duration, len(s))
	for i, sample := range s {
		times[i] = sample.Took
	}
	slices.Sort(times)
	return times[min(int(q*float64(len(times))), len(times)-1)]
}

// Codes counts answers by code, such as "200×480 503×20"; "none" means no answer.
func (s Samples) Codes() string {
	counts := map[int]int{}
	for _, sample := range s {
		if sample.Err != nil {
			counts[0]++
			continue
		}
		counts[sample.Code]++
	}
	codes := make([]int, 0, len(counts))
	for code := range counts {
		codes = append(codes, code)
	}
	slices.Sort(codes)
	var words []string
	for _, code := range codes {
		name := fmt.Sprint(code)
		if code == 0 {
			name = "none"
		}
		words = append(words, fmt.Sprintf("%s×%d", name, counts[code]))
	}
	return strings.Join(words, " ")
}

// Examples are the first few distinct answers, for what a check says about failures.
func (s Samples) Examples() string {
	var lines []string
	for _, sample := range s {
		line := sample.String()
		if !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
		if len(lines) == 5 {
			break
		}
	}
	return strings.Join(lines, "\n")
}
