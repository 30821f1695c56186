package console

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// frames are the pictures of the spinner.
var frames = []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")

// Wait calls check every interval until it says that all is done, fails, or ctx ends. check also says
// what is waited for: on a terminal that is shown with the time that has passed, elsewhere once per
// change. The error of ctx comes back with what was waited for last.
func (c *Console) Wait(ctx context.Context, interval time.Duration, check func(context.Context) (done bool, waitingFor string, err error)) error {
	started := time.Now()
	shown := ""
	stop := c.spin(started, &shown)
	defer stop()
	err := wait.PollUntilContextCancel(ctx, interval, true, func(ctx context.Context) (bool, error) {
		done, waitingFor, err := check(ctx)
		if err != nil || done {
			return done, err
		}
		c.changed(&shown, waitingFor)
		return false, nil
	})
	if cause := ctx.Err(); cause != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		c.mu.Lock()
		defer c.mu.Unlock()
		return fmt.Errorf("%s after %s: %w", shown, time.Since(started).Round(time.Second), cause)
	}
	return err
}

// changed shows what is waited for now.
func (c *Console) changed(shown *string, waitingFor string) {
	c.mu.Lock()
	same := *shown == waitingFor
	*shown = waitingFor
	c.mu.Unlock()
	if !same && !c.Interactive {
		c.Infof("%s", waitingFor)
	}
}

// spin moves the line of progress on a terminal until it is stopped.
func (c *Console) spin(started time.Time, shown *string) (stop func()) {
	if !c.Interactive {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	frame := 0
	go func() {
		defer close(done)
		wait.UntilWithContext(ctx, func(context.Context) {
			c.mu.Lock()
			defer c.mu.Unlock()
			if *shown != "" {
				frame++
				_, _ = fmt.Fprintf(c.Err, "\r\x1b[K%c %s (%s)", frames[frame%len(frames)], *shown, time.Since(started).Round(time.Second))
				c.progress = true
			}
		}, 100*time.Millisecond)
	}()
	return func() {
		cancel()
		<-done
		c.mu.Lock()
		defer c.mu.Unlock()
		c.clear()
	}
}
