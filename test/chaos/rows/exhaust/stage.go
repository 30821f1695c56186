package exhaust

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync/atomic"
	"time"

	"loft.sh/agent/test/chaos"
	"loft.sh/agent/test/chaos/hostile"
	"loft.sh/agent/test/chaos/load"
	"loft.sh/agent/test/sandbox"
)

const (
	// honestClients each have a connection of their own; together they send honestRate requests a
	// second.
	honestClients = 20
	honestRate    = 100
	// honestTimeout is after how long an honest client gives up.
	honestTimeout = 10 * time.Second
	// usable is what 99 of 100 honest requests may take where the fault, its clients' handshakes
	// included, needs the whole machine for a while. The short forms run beside other tests, which
	// need the machine, too: there it is enough that nobody gives up.
	usable, shortHonest = time.Second, honestTimeout
	// maxMemory bounds the agent under any of the faults, in MiB.
	maxMemory = 300
)

// door is the path of the direct endpoint's door.
const door = "/kubernetes/cluster"

// stage is an agent with an honest person and a hostile one.
type stage struct {
	*chaos.Env
	agent  *sandbox.Replica
	target hostile.Target
	honest load.Do
	result *chaos.Result
}

func newStage(ctx context.Context, env *chaos.Env) (*stage, error) {
	s := &stage{Env: env, result: &chaos.Result{}}
	var err error
	if s.agent, err = env.Agent(ctx, sandbox.ReplicaOptions{}); err != nil {
		return nil, err
	}
	honest, err := env.Person(ctx, "honest")
	if err != nil {
		return nil, err
	}
	token, err := env.Person(ctx, "hostile")
	if err != nil {
		return nil, err
	}
	secure, err := url.Parse(s.agent.EndpointURL())
	if err != nil {
		return nil, fmt.Errorf("endpoint: %w", err)
	}
	insecure, err := url.Parse(s.agent.EndpointHTTPURL())
	if err != nil {
		return nil, fmt.Errorf("endpoint: %w", err)
	}
	s.target = hostile.Target{
		Address: secure.Host, Plain: insecure.Host, Roots: env.EndpointTLS().RootCAs, Prefix: door, Token: token,
	}
	s.honest = s.honestly(s.agent.EndpointURL()+door, honest)
	return s, nil
}

// honestly asks for a small object with the next of all honest clients.
func (s *stage) honestly(base, token string) load.Do {
	var clients []load.Do
	for i := range honestClients {
		client := load.Client(s.EndpointTLS(), i%2 == 0)
		s.Defer(func() error { client.CloseIdleConnections(); return nil })
		clients = append(clients, load.Get(client, base+"/api/v1/namespaces/default", token))
	}
	var next atomic.Int64
	return func(ctx context.Context) load.Answer {
		return clients[int(next.Add(1))%len(clients)](ctx)
	}
}

// quiet measures honest clients alone, after a second of warming up.
func (s *stage) quiet(ctx context.Context) load.Samples {
	rate := load.Start(ctx, honestRate, honestTimeout, s.honest)
	chaos.Sleep(ctx, time.Second)
	warm := len(rate.So())
	chaos.Sleep(ctx, s.Time(10*time.Second, 2*time.Second))
	return rate.Stop()[warm:]
}

// unharmed checks that every honest request was served, 99 of 100 within bound. In the short forms
// the bound is shortHonest at least.
func (s *stage) unharmed(quiet, during load.Samples, bound time.Duration) {
	failed := during.Failed()
	s.result.None("honest requests failed", len(failed), failed.Codes()+"\n"+failed.Examples())
	if s.Short {
		bound = max(bound, shortHonest)
	}
	s.result.Within("honest p99", during.Quantile(0.99), bound)
	s.result.Note("honest clients: %d requests, p50 %s p99 %s quiet, p50 %s p99 %s p999 %s during the fault", len(during),
		quiet.Quantile(0.5), quiet.Quantile(0.99), during.Quantile(0.5), during.Quantile(0.99), during.Quantile(0.999))
}

// peak checks the most memory that the agent had since the fault began.
func (s *stage) peak() error {
	peak, err := chaos.Peak(s.agent)
	if err != nil {
		return err
	}
	s.result.AtMost("agent's peak memory", float64(peak)/(1<<20), maxMemory, " MiB")
	return nil
}

// settled reads the agent's vitals after its garbage was collected; heap names the profile.
func (s *stage) settled(ctx context.Context, heap string) (chaos.Vitals, error) {
	if err := s.Collect(ctx, s.agent, heap); err != nil {
		return chaos.Vitals{}, err
	}
	return s.Vitals(ctx, s.agent)
}

// baseline waits until the agent holds no more than it must, and reads its vitals.
func (s *stage) baseline(ctx context.Context) (chaos.Vitals, error) {
	var v chaos.Vitals
	var failed error
	_, err := chaos.Await(ctx, "an agent at rest", recovery, func(ctx context.Context) bool {
		before := v.Goroutines
		if v, failed = s.settled(ctx, "heap-before"); failed != nil {
			return true
		}
		chaos.Sleep(ctx, time.Second)
		return before != 0 && v.Goroutines >= before-1
	})
	return v, errors.Join(failed, err)
}
