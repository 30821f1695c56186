package doctor

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"k8s.io/client-go/rest"

	"loft.sh/agent/pkg/cli/centre"
	"loft.sh/agent/pkg/cli/probe"
)

// rounds is how often each way is asked; the first opens the connection and does not count.
const rounds = 6

// noise is a difference that means nothing.
const noise = 20 * time.Millisecond

// speed compares the direct way with that through the manager.
func speed(ctx context.Context, p *patient) Finding {
	direct, err := median(ctx, p.http, p.at.URL+"/kubernetes/cluster/version", p.token.Secret)
	if err != nil {
		return failed(err.Error(), "")
	}
	// The client brings the access key by itself.
	client, err := rest.HTTPClientFor(centre.RESTConfig(p.Login, ""))
	if err != nil {
		return failed(err.Error(), "")
	}
	central, err := median(ctx, client, p.Login.Host+"/kubernetes/cluster/"+p.cluster.Name+"/version", "")
	text := fmt.Sprintf("a request takes %s directly", shown(direct))
	if err != nil {
		return warning(text+"; the way through the manager does not answer: "+err.Error(), "")
	}
	text += fmt.Sprintf(" and %s through the manager", shown(central))
	if direct > central+max(central/4, noise) {
		return warning(text, "the endpoint is further away than the manager: is it exposed in another region?")
	}
	return ok(text)
}

func shown(d time.Duration) string { return d.Round(100 * time.Microsecond).String() }

// median is that of the times of single requests over a connection that is open.
func median(ctx context.Context, client *http.Client, url, token string) (time.Duration, error) {
	var times []time.Duration
	for range rounds {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		start := time.Now()
		answer, err := probe.Get(ctx, client, url, token, centre.UserAgent())
		took := time.Since(start)
		cancel()
		if err != nil {
			return 0, err
		}
		if err := probe.Judge(answer); err != nil {
			return 0, err
		}
		times = append(times, took)
	}
	times = times[1:]
	slices.Sort(times)
	return times[len(times)/2], nil
}
