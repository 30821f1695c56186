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
	checks := []healthz.HealthChecker{
		keptCheck{"trust-bundle", s.trust, s.trust.Loaded},
		keptCheck{"serving-certificate", s.certificates, func() bool { return true }},
		keptCheck{"host-credential", s.credential, func() bool { return true }},
		healthz.NamedCheck("host-apiserver", host.check),
	}
	if s.frontProxy != nil {
		checks = append(checks, healthz.NamedCheck("front-proxy-ca", s.frontProxy.check))
	}
	return checks
}

// keeper is something that is reloaded and keeps what it had where the new is broken.
type keeper interface {
	Problem() string
}

// keptCheck passes although something newer was refused, and its name says so: failing would take
// every agent out of service at once for one bad push.
type keptCheck struct {
	name   string
	keeper keeper
	// loaded says whether there is anything at all.
	loaded func() bool
}

// Name implements healthz.HealthChecker.
func (c keptCheck) Name() string {
	if c.loaded() && c.keeper.Problem() != "" {
		return c.name + " (a newer one was refused, the one before is kept)"
	}
	return c.name
}

// Check implements healthz.HealthChecker.
func (c keptCheck) Check(*http.Request) error {
	if !c.loaded() {
		return errors.New("nothing loaded")
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
