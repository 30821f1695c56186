package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/client-go/kubernetes"
)

const (
	// hostCheckTimeout bounds one question to the host's API server.
	hostCheckTimeout = 2 * time.Second
	// hostCheckAge is how long an answer stands, since anybody may ask /readyz.
	hostCheckAge = time.Second
)

// checks are the agent's own readiness checks.
func (s *Server) checks(hostClient kubernetes.Interface) []healthz.HealthChecker {
	host := &hostCheck{hostClient: hostClient}
	return []healthz.HealthChecker{
		trustCheck{s},
		healthz.NamedCheck("host-apiserver", host.check),
	}
}

// trustCheck fails without a bundle. With one it passes, and its name says whether a newer one
// was refused: failing would take every agent out of service at once for one bad push.
type trustCheck struct{ server *Server }

// Name implements healthz.HealthChecker.
func (c trustCheck) Name() string {
	if c.server.trust.Loaded() && c.server.trust.Problem() != "" {
		return "trust-bundle (a newer one was refused, the one before is kept)"
	}
	return "trust-bundle"
}

// Check implements healthz.HealthChecker.
func (c trustCheck) Check(*http.Request) error {
	if !c.server.trust.Loaded() {
		return errors.New("no trust bundle")
	}
	return nil
}

// hostCheck asks the host's API server whether it lives, at most once in hostCheckAge.
type hostCheck struct {
	hostClient kubernetes.Interface

	lock  sync.Mutex
	asked time.Time
	err   error
}

func (c *hostCheck) check(*http.Request) error {
	c.lock.Lock()
	defer c.lock.Unlock()
	if time.Since(c.asked) < hostCheckAge {
		return c.err
	}
	ctx, cancel := context.WithTimeout(context.Background(), hostCheckTimeout)
	defer cancel()
	if err := c.hostClient.Discovery().RESTClient().Get().AbsPath("/livez").Do(ctx).Error(); err != nil {
		c.err = fmt.Errorf("host API server: %w", err)
	} else {
		c.err = nil
	}
	c.asked = time.Now()
	return c.err
}
