// Package replicas holds the row in which agents are replaced one after the other, as an upgrade does.
package replicas

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"sync/atomic"
	"time"

	"loft.sh/agent/test/chaos"
	"loft.sh/agent/test/chaos/load"
	"loft.sh/agent/test/chaos/wire"
	"loft.sh/agent/test/sandbox"
)

const (
	// gap is how long a client may be without its watch.
	gap = 2 * time.Second
	// period is how often the balancer asks whether an agent is ready.
	period = 200 * time.Millisecond
	// slowestExit is more than any agent says that it needs.
	slowestExit = 3 * time.Minute
)

// Rows returns the rows.
func Rows() []chaos.Row {
	return []chaos.Row{{
		Name:  "agents-rolled",
		Fault: "Agents rolled ten times, two behind a TCP balancer, 50 requests/s and 500 watches",
		Run:   rolled,
	}}
}

// fleet is two agents behind a balancer.
type fleet struct {
	agents   []*sandbox.Replica
	balancer *wire.Balancer
	url      string
}

func startFleet(ctx context.Context, env *chaos.Env) (*fleet, error) {
	f := &fleet{}
	var backends []wire.Backend
	for range 2 {
		// The flags of artifacts/agent, with a shorter delay in the short form.
		agent, err := env.Agent(ctx, sandbox.ReplicaOptions{Args: []string{
			fmt.Sprintf("--shutdown-delay-duration=%s", env.Time(5*time.Second, 2*time.Second)),
			"--shutdown-send-retry-after=true", "--shutdown-watch-termination-grace-period=10s",
		}})
		if err != nil {
			return nil, err
		}
		endpoint, err := url.Parse(agent.EndpointURL())
		if err != nil {
			return nil, err
		}
		f.agents = append(f.agents, agent)
		backends = append(backends, wire.Backend{Address: endpoint.Host, Ready: agent.EndpointURL() + "/readyz"})
	}
	var err error
	if f.balancer, err = wire.NewBalancer(env.EndpointTLS(), period, backends...); err != nil {
		return nil, err
	}
	env.Defer(f.balancer.Close)
	f.url = "https://" + f.balancer.Address() + "/kubernetes/cluster/api/v1/namespaces/default/configmaps"
	return f, nil
}

func rolled(ctx context.Context, env *chaos.Env) (*chaos.Result, error) {
	token, err := env.Person(ctx, "rolled")
	if err != nil {
		return nil, err
	}
	f, err := startFleet(ctx, env)
	if err != nil {
		return nil, err
	}
	count := env.Count(500, 100)
	clients := load.Clients(env.EndpointTLS(), 10)
	watches := load.Watch(ctx, count, true, func(i int) load.Target {
		return load.Target{Client: clients[i%len(clients)], URL: f.url + "?watch=1", Token: token}
	})
	defer watches.Stop()
	if err := watches.Await(ctx, count, time.Minute); err != nil {
		return nil, err
	}
	requests := load.Start(ctx, 50, time.Minute, f.mixed(env, token))
	defer requests.Stop()
	result := &chaos.Result{}
	for roll := range env.Count(10, 2) {
		if err := f.roll(ctx, env, roll, result); err != nil {
			return nil, err
		}
	}
	longest := watches.LongestGap()
	failed := requests.Stop().Failed()
	result.None(fmt.Sprintf("failed requests of %d", len(requests.So())), len(failed), failed.Codes()+"\n"+failed.Examples())
	result.Within("longest gap in a watch", longest, gap)
	result.AtLeast("watches that ended", float64(len(watches.Ends())), float64(count/2), "")
	result.Note("requests: %s, p99 %s; refused attempts to open a watch: %s", requests.So().Codes(),
		requests.So().Quantile(0.99).Round(time.Millisecond), watches.Refusals().Codes())
	return result, nil
}

// mixed asks as three kinds of clients in turn: over HTTP/2, HTTP/1.1, and a connection a request.
func (f *fleet) mixed(env *chaos.Env, token string) load.Do {
	object := f.url + "/kube-root-ca.crt"
	trust := env.EndpointTLS()
	kinds := []load.Do{
		load.Get(load.Client(trust, true), object, token),
		load.Get(load.Client(trust, false), object, token),
		load.Get(load.Fresh(trust), object, token),
	}
	var next atomic.Uint64
	return func(ctx context.Context) load.Answer {
		return kinds[next.Add(1)%uint64(len(kinds))](ctx)
	}
}

// roll replaces one agent, and waits until both are in service again.
func (f *fleet) roll(ctx context.Context, env *chaos.Env, roll int, result *chaos.Result) error {
	agent := f.agents[roll%len(f.agents)]
	began := time.Now()
	if err := agent.Stop(slowestExit); err != nil {
		return err
	}
	exit := time.Since(began)
	bound, err := statedBound(agent)
	if err != nil {
		return err
	}
	result.Within(fmt.Sprintf("roll %d: exit", roll+1), exit, bound)
	if err := agent.Start(ctx); err != nil {
		return err
	}
	_, err = chaos.Await(ctx, "both agents to be in service", time.Minute, func(context.Context) bool { return f.balancer.Ready() == len(f.agents) })
	if err != nil {
		return err
	}
	chaos.Sleep(ctx, env.Time(2*time.Second, 500*time.Millisecond))
	return nil
}

var stated = regexp.MustCompile(`"Shutting down" exitWithin="([^"]+)"`)

// statedBound is what an agent said last of how long its exit takes at most.
func statedBound(agent *sandbox.Replica) (time.Duration, error) {
	log, err := os.ReadFile(filepath.Join(agent.Dir(), "agent.log"))
	if err != nil {
		return 0, fmt.Errorf("agent's log: %w", err)
	}
	found := stated.FindAllSubmatch(log, -1)
	if len(found) == 0 {
		return 0, fmt.Errorf("agent's log %q states no bound of its exit", agent.Dir())
	}
	return time.ParseDuration(string(found[len(found)-1][1]))
}
