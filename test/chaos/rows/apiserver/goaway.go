package apiserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"loft.sh/agent/test/chaos"
	"loft.sh/agent/test/chaos/load"
	"loft.sh/agent/test/sandbox"
)

// goaway works on the shared API server, which has the flag for every row. An agent that speaks
// HTTP/1.1 to it meets no GOAWAY with requests, and one with watches; so there are watches, too.
func goaway(ctx context.Context, env *chaos.Env) (*chaos.Result, error) {
	token, err := env.Person(ctx, "goaway")
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
	result := &chaos.Result{}
	for _, http2 := range []bool{true, false} {
		name := map[bool]string{true: "HTTP/2", false: "HTTP/1.1"}[http2]
		w := &goawayWork{
			client: load.Client(env.EndpointTLS(), http2), url: configMapsURL(agent, namespace), token: token,
			prefix: strings.ToLower(strings.ReplaceAll(strings.ReplaceAll(name, "/", "-"), ".", "-")),
			rounds: env.Count(150, 8),
		}
		failures := w.run(ctx, 20)
		detail := errors.Join(failures...)
		result.None(fmt.Sprintf("errors in %d × create, get, watch, delete over %s", 20*w.rounds, name), len(failures), fmt.Sprint(detail))
	}
	return result, nil
}

// goawayWork is what one kind of client does.
type goawayWork struct {
	client             *http.Client
	url, token, prefix string
	rounds             int

	lock     sync.Mutex
	failures []error
}

func (w *goawayWork) run(ctx context.Context, workers int) []error {
	var group sync.WaitGroup
	for worker := range workers {
		group.Go(func() {
			for round := range w.rounds {
				if err := w.one(ctx, fmt.Sprintf("%s-%d-%d", w.prefix, worker, round)); err != nil {
					w.lock.Lock()
					w.failures = append(w.failures, err)
					w.lock.Unlock()
				}
			}
		})
	}
	group.Wait()
	return w.failures
}

// one creates an object, gets it, watches it be deleted, and expects to be told.
func (w *goawayWork) one(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	body := fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q}}`, name)
	if a := load.Request(w.client, http.MethodPost, w.url, w.token, body)(ctx); !a.OK() {
		return fmt.Errorf("create %s: %s", name, a)
	}
	if a := load.Get(w.client, w.url+"/"+name, w.token)(ctx); !a.OK() {
		return fmt.Errorf("get %s: %s", name, a)
	}
	watch := make(chan error, 1)
	opened := make(chan struct{})
	go func() { watch <- w.watchDeletion(ctx, name, opened) }()
	select {
	case <-opened:
	case err := <-watch:
		return fmt.Errorf("watch %s: %w", name, err)
	}
	if a := load.Request(w.client, http.MethodDelete, w.url+"/"+name, w.token, "")(ctx); !a.OK() {
		return fmt.Errorf("delete %s: %s", name, a)
	}
	if err := <-watch; err != nil {
		return fmt.Errorf("watch %s: %w", name, err)
	}
	return nil
}

func (w *goawayWork) watchDeletion(ctx context.Context, name string, opened chan<- struct{}) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+"?watch=1&fieldSelector=metadata.name%3D"+name, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+w.token)
	res, err := w.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return errors.New(res.Status)
	}
	close(opened)
	events := json.NewDecoder(res.Body)
	for {
		var event struct{ Type string }
		if err := events.Decode(&event); err != nil {
			return fmt.Errorf("before the deletion was told: %w", err)
		}
		if event.Type == "DELETED" {
			return nil
		}
	}
}
