package exhaust

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/test/chaos"
	"loft.sh/agent/test/chaos/hostile"
	"loft.sh/agent/test/chaos/load"
)

// hugeClients ask at the same time.
const hugeClients = 20

func hugeHeaders(ctx context.Context, env *chaos.Env) (*chaos.Result, error) {
	s, err := newStage(ctx, env)
	if err != nil {
		return nil, err
	}
	mebibyte := strings.Repeat("h", 1<<20)
	kinds := []hostile.Huge{
		{Name: "1 MiB header over HTTP/1.1", Protocol: hostile.HTTP1, Header: mebibyte},
		{Name: "1 MiB header over HTTP/2", Protocol: hostile.HTTP2, Header: mebibyte},
		{Name: "1 MiB bearer token over HTTP/1.1", Protocol: hostile.HTTP1, Token: mebibyte},
		{Name: "1 MiB bearer token over HTTP/2", Protocol: hostile.HTTP2, Token: mebibyte},
		{Name: "100 KiB bearer token over HTTP/1.1", Protocol: hostile.HTTP1, Token: mebibyte[:100<<10]},
		{Name: "100 KiB bearer token over HTTP/2", Protocol: hostile.HTTP2, Token: mebibyte[:100<<10]},
		{Name: "endless headers over HTTP/2", Protocol: hostile.HTTP2, Endless: 64 << 20},
	}
	quiet := s.quiet(ctx)
	if err := chaos.ResetPeak(s.agent); err != nil {
		return nil, err
	}
	rate := load.Start(ctx, honestRate, honestTimeout, s.honest)
	defer rate.Stop()
	for _, kind := range kinds {
		s.ask(ctx, kind, env.Count(5*hugeClients, hugeClients))
	}
	during := rate.Stop()
	s.unharmed(quiet, during, usable)
	return s.result, s.peak()
}

// ask sends count huge requests, hugeClients at a time, and checks that none was taken.
func (s *stage) ask(ctx context.Context, kind hostile.Huge, count int) {
	var lock sync.Mutex
	codes := map[int]int{}
	var bad []string
	var group sync.WaitGroup
	places := make(chan struct{}, hugeClients)
	for range count {
		places <- struct{}{}
		group.Go(func() {
			code, err := s.target.Ask(ctx, "/api/v1/namespaces/default", kind)
			<-places
			lock.Lock()
			defer lock.Unlock()
			codes[code]++
			if err != nil {
				bad = append(bad, err.Error())
			} else if code != 0 && code/100 != 4 {
				bad = append(bad, fmt.Sprintf("status %d", code))
			}
		})
	}
	group.Wait()
	s.result.Hold(len(bad) == 0, kind.Name, said(codes), "ended or 4xx", strings.Join(bad, "\n"))
}

// said counts answers by their status.
func said(codes map[int]int) string {
	var words []string
	if n := codes[0]; n > 0 {
		words = append(words, fmt.Sprintf("ended×%d", n))
	}
	for code := 100; code < 600; code++ {
		if n := codes[code]; n > 0 {
			words = append(words, fmt.Sprintf("%d×%d", code, n))
		}
	}
	return strings.Join(words, " ")
}

func hugeLists(ctx context.Context, env *chaos.Env) (*chaos.Result, error) {
	s, err := newStage(ctx, env)
	if err != nil {
		return nil, err
	}
	megabytes := env.Count(100, 20)
	list, err := s.largeObjects(ctx, megabytes)
	if err != nil {
		return nil, err
	}
	clients := env.Count(hugeClients, 5)
	// How honest clients of the API server itself fare: most of the work is the API server's, and it
	// has the requests of one priority wait for each other.
	cluster := s.Sandbox().Cluster()
	honest, err := s.directly("honest")
	if err != nil {
		return nil, err
	}
	hungry, err := s.directly("hostile")
	if err != nil {
		return nil, err
	}
	direct := load.Start(ctx, honestRate, honestTimeout, load.Get(honest, cluster.URL()+"/api/v1/namespaces/default", ""))
	_, failed := s.list(ctx, clients, func(int) (*http.Client, string) { return hungry, cluster.URL() + list })
	without := direct.Stop()
	if len(failed) > 0 {
		return nil, fmt.Errorf("lists of the API server itself: %s", failed[0])
	}
	quiet := s.quiet(ctx)
	if err := chaos.ResetPeak(s.agent); err != nil {
		return nil, err
	}
	rate := load.Start(ctx, honestRate, honestTimeout, s.honest)
	defer rate.Stop()
	began := time.Now()
	sizes, failed := s.list(ctx, clients, func(i int) (*http.Client, string) {
		return load.Client(s.EndpointTLS(), i%2 == 0), s.agent.EndpointURL() + door + list
	})
	took := time.Since(began)
	during := rate.Stop()

	s.result.None("lists that failed", len(failed), strings.Join(failed, "\n"))
	s.result.AtLeast("lists of one size", float64(equal(sizes)), float64(clients), "")
	s.unharmed(quiet, during, max(usable, 2*without.Quantile(0.99)))
	s.result.Note("%d lists of %d MB at the same time took %s", clients, megabytes, took.Round(time.Millisecond))
	s.result.Note("the same lists and honest clients without the agent: honest p99 %s", without.Quantile(0.99))
	return s.result, s.peak()
}

// directly is a client of the API server itself in a person's name.
func (s *stage) directly(person string) (*http.Client, error) {
	config := rest.CopyConfig(s.Sandbox().Cluster().RESTConfig())
	config.Impersonate = rest.ImpersonationConfig{UserName: accesstoken.PersonName(person)}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("client of the cluster: %w", err)
	}
	return client, nil
}

// list reads a list count times at once, each as from says, and returns the sizes of the answers.
func (s *stage) list(ctx context.Context, count int, from func(i int) (*http.Client, string)) (sizes []int64, failed []string) {
	var lock sync.Mutex
	var group sync.WaitGroup
	for i := range count {
		client, url := from(i)
		group.Go(func() {
			defer client.CloseIdleConnections()
			size, err := read(ctx, client, url, s.token(url))
			lock.Lock()
			defer lock.Unlock()
			if err != nil {
				failed = append(failed, err.Error())
				return
			}
			sizes = append(sizes, size)
		})
	}
	group.Wait()
	return sizes, failed
}

// token is the hostile person's where url is the endpoint's; the API server itself does not know it.
func (s *stage) token(url string) string {
	if strings.HasPrefix(url, s.agent.EndpointURL()) {
		return s.target.Token
	}
	return ""
}

func read(ctx context.Context, client *http.Client, url, token string) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = res.Body.Close() }()
	size, err := io.Copy(io.Discard, res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %s", res.Status)
	}
	return size, err
}

// equal is how many sizes are the same as the first.
func equal(sizes []int64) int {
	n := 0
	for _, size := range sizes {
		if size == sizes[0] {
			n++
		}
	}
	return n
}
