package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/rest"

	"loft.sh/agent/test/chaos"
	"loft.sh/agent/test/chaos/load"
	"loft.sh/agent/test/sandbox"
)

const (
	// recovery is how long after the API server is ready a request may still fail.
	recovery = 2 * time.Second
	// settle is how long informers, the direct one too, may take: client-go waits up to 30 s between
	// its attempts, and with its jitter a minute.
	settle = 90 * time.Second
)

func killed(ctx context.Context, env *chaos.Env) (*chaos.Result, error) {
	token, err := env.Person(ctx, "killed")
	if err != nil {
		return nil, err
	}
	agent, err := env.Agent(ctx, sandbox.ReplicaOptions{})
	if err != nil {
		return nil, err
	}
	namespace, err := env.Namespace(ctx)
	if err != nil {
		return nil, err
	}
	informers, err := startInformers(ctx, env, env.ClientConfig(agent, token), namespace, 20)
	if err != nil {
		return nil, err
	}
	defer informers.stop()
	clients := load.Clients(env.EndpointTLS(), 6)
	watches := load.Watch(ctx, 180, true, func(i int) load.Target {
		return load.Target{Client: clients[i%len(clients)], URL: configMapsURL(agent, namespace) + "?watch=1", Token: token}
	})
	defer watches.Stop()
	if err := watches.Await(ctx, 180, 30*time.Second); err != nil {
		return nil, err
	}
	writer := startWriter(ctx, env.Admin(), namespace)
	defer writer.stop()
	requests := load.Start(ctx, 50, time.Minute, load.Get(load.Client(env.EndpointTLS(), true), configMapURL(agent, namespace), token))
	defer requests.Stop()
	direct, err := directly(ctx, env, namespace)
	if err != nil {
		return nil, err
	}
	defer direct.Stop()

	result := &chaos.Result{}
	var outages []outage
	for round := range env.Count(3, 1) {
		fault, err := crash(ctx, env, watches)
		if err != nil {
			return nil, err
		}
		fault.judge(result, round+1, requests)
		outages = append(outages, fault)
	}
	chaos.Sleep(ctx, env.Time(10*time.Second, time.Second))
	writer.stop()
	judgeRequests(result, requests.Stop(), direct.Stop(), outages)
	took, err := informers.agree(ctx, settle)
	result.Hold(err == nil, "20 informers hold what a direct one does", fmt.Sprintf("%d objects after %.1f s", informers.objects(), took.Seconds()), "equal", fmt.Sprint(err))
	return result, nil
}

// directly asks the API server itself now and then: while it starts, it is slow to say even no.
func directly(ctx context.Context, env *chaos.Env, namespace string) (*load.Rate, error) {
	cluster := env.Sandbox().Cluster()
	client, err := rest.HTTPClientFor(cluster.RESTConfig())
	if err != nil {
		return nil, fmt.Errorf("client of the cluster: %w", err)
	}
	url := cluster.URL() + "/api/v1/namespaces/" + namespace + "/configmaps/kube-root-ca.crt"
	return load.Start(ctx, 10, time.Minute, load.Get(client, url, "")), nil
}

// outage is one crash of the API server.
type outage struct {
	killed, ready time.Time
	// watches is how long after ready all watches were open again.
	watches time.Duration
}

// crash kills the API server, starts it again after a while and waits until load is back.
func crash(ctx context.Context, env *chaos.Env, watches *load.Watches) (outage, error) {
	chaos.Sleep(ctx, env.Time(5*time.Second, 2*time.Second))
	cluster := env.Sandbox().Cluster()
	fault := outage{killed: time.Now()}
	if err := cluster.KillAPIServer(); err != nil {
		return fault, err
	}
	chaos.Sleep(ctx, env.Time(10*time.Second, time.Second))
	restarted := make(chan error, 1)
	go func() { restarted <- cluster.RestartAPIServer(ctx) }()
	// The moment is the API server's own word; RestartAPIServer waits for a little more.
	_, notReady := chaos.Await(ctx, "the API server's /readyz", 2*time.Minute, func(ctx context.Context) bool {
		return env.Admin().Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error() == nil
	})
	fault.ready = time.Now()
	open := watches.Await(ctx, 180, 30*time.Second)
	fault.watches = time.Since(fault.ready)
	if err := errors.Join(<-restarted, notReady, open); err != nil {
		return fault, err
	}
	chaos.Sleep(ctx, recovery)
	return fault, nil
}

// judge says how soon after ready the last request failed.
func (o outage) judge(result *chaos.Result, round int, requests *load.Rate) {
	var last time.Duration
	failed := requests.So().Where(func(s load.Sample) bool { return !s.OK() && s.At.After(o.killed) })
	for _, sample := range failed {
		last = max(last, sample.At.Sub(o.ready))
	}
	what := fmt.Sprintf("crash %d: ", round)
	result.AtLeast(what+"requests that met it", float64(len(failed)), 1, "")
	result.Within(what+"last failed request after ready", last, recovery)
	result.Within(what+"watches open again after ready", o.watches, recovery)
	result.Note("%saway for %.1f s", what, o.ready.Sub(o.killed).Seconds())
}

// ownRefusal says whether the API server itself sent the person away before it was ready, as it does
// whom it meets directly: by name, while it has read no roles, or with the wish to wait.
func ownRefusal(s load.Sample, outages []outage) bool {
	meanwhile := slices.ContainsFunc(outages, func(o outage) bool { return s.At.After(o.killed) && s.At.Before(o.ready) })
	byName := s.Code == http.StatusForbidden && strings.Contains(s.Body, `User \\"loft:user:`)
	busy := s.Code == http.StatusTooManyRequests && s.RetryAfter != ""
	return meanwhile && (byName || busy)
}

// judgeRequests allows a request to succeed, or to be told that and when to try again: soon, or, where
// the API server itself has to say so, not much later than it would directly.
func judgeRequests(result *chaos.Result, samples, direct load.Samples, outages []outage) {
	result.Note("requests: %s; p99 of successes %s", samples.Codes(), samples.Code(http.StatusOK).Quantile(0.99).Round(time.Millisecond))
	refused := samples.Code(http.StatusUnauthorized)
	result.None("answers 401", len(refused), refused.Examples())
	wrong := samples.Failed().Where(func(s load.Sample) bool {
		return (s.Code != http.StatusServiceUnavailable || s.RetryAfter == "") && !ownRefusal(s, outages)
	})
	result.None("failures other than 503 with Retry-After", len(wrong), wrong.Examples())
	unavailable := samples.Code(http.StatusServiceUnavailable)
	slowest := direct.Where(func(s load.Sample) bool { return s.Code != 0 }).Quantile(1)
	result.Within("slowest answer of 503", unavailable.Quantile(1), max(2*time.Second, 2*slowest))
	for _, s := range unavailable {
		if s.Took == unavailable.Quantile(1) {
			result.Note("the slowest 503: sent %s, took %s; %s. The slowest answer to a direct client took %s",
				since(s.At, outages), s.Took.Round(time.Millisecond), s.Body, slowest.Round(time.Millisecond))
			break
		}
	}
}

// since says where in an outage a moment lies.
func since(at time.Time, outages []outage) string {
	for i, o := range outages {
		if at.After(o.killed) && at.Before(o.ready) {
			return fmt.Sprintf("%.1f s after crash %d and %.1f s before the API server was ready",
				at.Sub(o.killed).Seconds(), i+1, o.ready.Sub(at).Seconds())
		}
	}
	return "outside of any outage"
}
