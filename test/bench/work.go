package bench

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"

	"loft.sh/agent/test/bench/load"
	"loft.sh/agent/test/bench/target"
)

// The kinds of work that are not requests in a loop.
const (
	workReplay = "watch-replay"
	workEvent  = "watch-event"
	workBurst  = "watch-burst"
	workIdle   = "watch-idle"
)

// work is one operation that is repeated.
type work struct {
	name string
	// requests that one operation sends.
	requests int
	// slow operations are few: each round takes a fixed number of them.
	slow bool
	op   func(ctx context.Context, c *load.Client) error
}

func objects(namespace string) string { return "/api/v1/namespaces/" + namespace + "/configmaps" }

// fromCache lets the API server answer from its watch cache.
const fromCache = "?resourceVersion=0"

// repeated are the kinds of work that are repeated, by name.
func repeated() []work {
	small := objects(target.NamespaceSmall) + "/" + target.SmallName + fromCache
	return []work{
		{name: "get", requests: 1, op: get(small)},
		{name: "list-500", requests: 1, op: get(objects(target.NamespaceMedium) + fromCache)},
		{name: "list-20m", requests: 1, slow: true, op: get(objects(target.NamespaceLarge) + fromCache)},
		{name: "create-delete", requests: 2, op: createDelete()},
	}
}

func workNames() []string {
	var names []string
	for _, w := range repeated() {
		names = append(names, w.name)
	}
	return append(names, workReplay, workEvent, workBurst, workIdle)
}

func get(path string) func(context.Context, *load.Client) error {
	return func(ctx context.Context, c *load.Client) error {
		_, err := c.Do(ctx, http.MethodGet, path, nil)
		return err
	}
}

// createDelete makes an object that nobody has made before, and removes it.
func createDelete() func(context.Context, *load.Client) error {
	var count atomic.Int64
	path := objects(target.NamespaceWrite)
	return func(ctx context.Context, c *load.Client) error {
		name := fmt.Sprintf("object-%d", count.Add(1))
		body := fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q},"data":{"data":"0123456789abcdef"}}`, name)
		if _, err := c.Do(ctx, http.MethodPost, path, []byte(body)); err != nil {
			return err
		}
		_, err := c.Do(ctx, http.MethodDelete, path+"/"+name, nil)
		return err
	}
}
