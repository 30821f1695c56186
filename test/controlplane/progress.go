package controlplane

import (
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"
)

// progressInterval is how often a running build says how far it is.
const progressInterval = 10 * time.Second

// progress tells how far a build is. Go reports the packages that it had to compile, so
// a program whose packages are cached is done long before the count is full.
type progress struct {
	log   io.Writer
	count int
	start time.Time
	stop  chan struct{}
	ended sync.WaitGroup

	mu       sync.Mutex
	name     string
	index    int
	packages int
	done     int
}

// startProgress says a line every interval until end is called.
func startProgress(log io.Writer, count int, interval time.Duration) *progress {
	p := &progress{log: log, count: count, start: time.Now(), stop: make(chan struct{})}
	p.ended.Go(func() {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				fmt.Fprintln(p.log, p.line())
			case <-p.stop:
				return
			}
		}
	})
	return p
}

func (p *progress) next(name string, packages int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.name, p.packages, p.done = name, packages, 0
	p.index++
}

func (p *progress) built() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done++
}

func (p *progress) line() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	elapsed := time.Since(p.start).Round(time.Second)
	if p.packages == 0 {
		return fmt.Sprintf("building %s (%d of %d), %s", p.name, p.index, p.count, elapsed)
	}
	return fmt.Sprintf("building %s (%d of %d): %s of %s packages, %s",
		p.name, p.index, p.count, thousands(p.done), thousands(p.packages), elapsed)
}

// end returns after the last line.
func (p *progress) end() {
	close(p.stop)
	p.ended.Wait()
}

// thousands writes 1204 as 1,204.
func thousands(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
