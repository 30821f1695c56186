package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"loft.sh/agent/test/chaos"
	"loft.sh/agent/test/chaos/load"
	"loft.sh/agent/test/chaos/wire"
	"loft.sh/agent/test/sandbox"
)

// concurrent is how many requests wait for the silent API server in the short form.
const concurrent = 20

// silentBounds are what must hold. The short form has the agent ping more often: nothing else in it
// is tied to the length.
type silentBounds struct {
	env  []string
	args []string
	// watchesEnd is how long an open watch may stay, answer how long a new request may take, and
	// drained how long after that the agent may still hold something.
	watchesEnd, answer, drained time.Duration
}

func boundsOfSilence(env *chaos.Env) silentBounds {
	if env.Short {
		return silentBounds{
			env:        []string{"HTTP2_READ_IDLE_TIMEOUT_SECONDS=1", "HTTP2_PING_TIMEOUT_SECONDS=1"},
			args:       []string{"--request-timeout=2s"},
			watchesEnd: 5 * time.Second, answer: 10 * time.Second, drained: 10 * time.Second,
		}
	}
	// A request waits for --request-timeout and the five seconds that the API server gets more.
	return silentBounds{watchesEnd: 50 * time.Second, answer: 70 * time.Second, drained: time.Minute}
}

func silent(ctx context.Context, env *chaos.Env) (*chaos.Result, error) {
	bounds := boundsOfSilence(env)
	token, err := env.Person(ctx, "silent")
	if err != nil {
		return nil, err
	}
	apiServer, err := url.Parse(env.Sandbox().Cluster().URL())
	if err != nil {
		return nil, err
	}
	gate, err := wire.NewGate(apiServer.Host)
	if err != nil {
		return nil, err
	}
	env.Defer(gate.Close)
	agent, err := env.Agent(ctx, sandbox.ReplicaOptions{Host: "https://" + gate.Address(), Args: bounds.args, Env: bounds.env})
	if err != nil {
		return nil, err
	}
	// A first request for each kind of connection, so that what stays open for good is counted before.
	if err := warm(ctx, env, agent, token); err != nil {
		return nil, err
	}
	before, err := env.Vitals(ctx, agent)
	if err != nil {
		return nil, err
	}
	result := &chaos.Result{}
	if err := fallSilent(ctx, env, &silence{agent: agent, gate: gate, token: token, bounds: bounds}, result); err != nil {
		return nil, err
	}
	return result, judgeLeft(ctx, env, agent, before, bounds, result)
}

// warm opens what the agent keeps open to the API server for a while: a connection for each request
// at the same time.
func warm(ctx context.Context, env *chaos.Env, agent *sandbox.Replica, token string) error {
	client := load.Client(env.EndpointTLS(), true)
	defer client.CloseIdleConnections()
	for range 3 {
		var requests sync.WaitGroup
		answers := make(chan load.Answer, concurrent)
		for range concurrent {
			requests.Go(func() { answers <- load.Get(client, configMapURL(agent, "default"), token)(ctx) })
		}
		requests.Wait()
		for range concurrent {
			if a := <-answers; !a.OK() {
				return fmt.Errorf("request before the fault: %s", a)
			}
		}
	}
	return nil
}

type silence struct {
	agent  *sandbox.Replica
	gate   *wire.Gate
	token  string
	bounds silentBounds
}

// fallSilent opens watches, drops what the API server says and keeps asking, until both have ended.
func fallSilent(ctx context.Context, env *chaos.Env, s *silence, result *chaos.Result) error {
	clients := load.Clients(env.EndpointTLS(), 4)
	defer closeIdle(clients)
	watches := load.Watch(ctx, 100, false, func(i int) load.Target {
		return load.Target{Client: clients[i%4], URL: configMapsURL(s.agent, "default") + "?watch=1", Token: s.token}
	})
	defer watches.Stop()
	if err := watches.Await(ctx, 100, 30*time.Second); err != nil {
		return err
	}
	began := time.Now()
	s.gate.Silence(true)
	defer s.gate.Silence(false)
	requests := load.Start(ctx, 10, 3*time.Minute, load.Get(clients[0], configMapURL(s.agent, "default"), s.token))
	defer requests.Stop()
	_, notEnded := chaos.Await(ctx, "watches to end", 2*s.bounds.watchesEnd, func(context.Context) bool { return watches.Open() == 0 })
	var last time.Duration
	for _, end := range watches.Ends() {
		last = max(last, end.At.Sub(began))
	}
	if errors.Is(notEnded, context.DeadlineExceeded) {
		last = time.Since(began)
	}
	result.Within(fmt.Sprintf("last of 100 watches ended (%d still open)", watches.Open()), last, s.bounds.watchesEnd)
	samples := requests.Stop()
	result.AtLeast("requests meanwhile", float64(len(samples)), 10, "")
	wrong := samples.Where(func(a load.Sample) bool {
		return a.Code != http.StatusServiceUnavailable && a.Code != http.StatusGatewayTimeout
	})
	result.None("answers other than 503 and 504", len(wrong), wrong.Examples())
	result.Within("slowest answer", samples.Quantile(1), s.bounds.answer)
	result.Note("requests: %s, p50 %.1f s", samples.Codes(), samples.Quantile(0.5).Seconds())
	return nil
}

// judgeLeft looks at what the agent holds once the API server answers again.
func judgeLeft(ctx context.Context, env *chaos.Env, agent *sandbox.Replica, before chaos.Vitals, bounds silentBounds, result *chaos.Result) error {
	took, err := chaos.Await(ctx, "requests to succeed again", time.Minute, func(ctx context.Context) bool {
		client := load.Client(env.EndpointTLS(), true)
		defer client.CloseIdleConnections()
		return load.Get(client, configMapURL(agent, "default"), "")(ctx).Code == http.StatusUnauthorized
	})
	if err != nil {
		return err
	}
	result.Note("agent answers %.1f s after the silence", took.Seconds())
	// A few goroutines come and go with requests of the agent's own.
	const slack = 10
	var after chaos.Vitals
	took, err = chaos.Await(ctx, "goroutines to end", bounds.drained, func(ctx context.Context) bool {
		if seen, err := env.Vitals(ctx, agent); err == nil {
			after = seen
		}
		return after.Goroutines > 0 && after.Goroutines <= before.Goroutines+slack
	})
	dump := ""
	if err != nil {
		dump = env.Goroutines(ctx, agent)
	}
	result.Hold(err == nil, "goroutines left after the silence",
		fmt.Sprintf("%d after %.1f s", after.Goroutines, took.Seconds()), fmt.Sprintf("≤ %d + %d", before.Goroutines, slack), dump)
	result.Note("before: %s; after: %s", before, after)
	return nil
}

func closeIdle(clients []*http.Client) {
	for _, client := range clients {
		client.CloseIdleConnections()
	}
}
