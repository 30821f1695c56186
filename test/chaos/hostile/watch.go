package hostile

import (
	"context"
	"fmt"
	"net/http"

	"golang.org/x/sync/errgroup"
)

// dialers is how many connections are made at the same time.
const dialers = 32

// Crowd is a number of open connections.
type Crowd []*Conn

// Watches opens count watches of path, each on a connection of its own, and returns when each has
// its answer's head. The context bounds their life, too.
func (t Target) Watches(ctx context.Context, protocol, path string, count int) (Crowd, error) {
	return gather(count, func() (*Conn, error) {
		conn, res, err := t.open(ctx, protocol, path, 0)
		if err != nil {
			return nil, err
		}
		if res.StatusCode != http.StatusOK {
			defer conn.Abort()
			return nil, fmt.Errorf("watch %s over %s: %w", path, protocol, refusal(res))
		}
		return conn, nil // the body stays open with its connection
	})
}

// gather opens count connections. After an error none stays open.
func gather(count int, open func() (*Conn, error)) (Crowd, error) {
	crowd := make(Crowd, count)
	var group errgroup.Group
	group.SetLimit(dialers)
	for i := range crowd {
		group.Go(func() (err error) {
			crowd[i], err = open()
			return err
		})
	}
	if err := group.Wait(); err != nil {
		crowd.Abort()
		return nil, err
	}
	return crowd, nil
}

// Silence silences every connection.
func (c Crowd) Silence() error {
	for _, conn := range c {
		if err := conn.Silence(); err != nil {
			return err
		}
	}
	return nil
}

// Kill ends every connection as the kernel does for a killed process, one half of them by a reset.
func (c Crowd) Kill() {
	for i, conn := range c {
		if i%2 == 0 {
			conn.Kill()
		} else {
			conn.Abort()
		}
	}
}

// Abort resets every connection.
func (c Crowd) Abort() {
	for _, conn := range c {
		if conn != nil {
			conn.Abort()
		}
	}
}
