package trust

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/test/chaos"
	"loft.sh/agent/test/chaos/load"
	"loft.sh/agent/test/sandbox"
)

// removal is how long a removed key may still be accepted.
const removal = 10 * time.Second

// rotation publishes a key one turn before it signs and keeps it one turn longer, as the manager does.
type rotation struct {
	env    *chaos.Env
	bundle *bundleKeeper
	// signers are the last, the current and the next key.
	signers []*accesstoken.Signer

	lock sync.Mutex
	// tokens are those of the last and the current key; all are valid.
	tokens []string
	turn   atomic.Uint64
}

func rotated(ctx context.Context, env *chaos.Env) (*chaos.Result, error) {
	if err := env.Admit(ctx, "rotated"); err != nil {
		return nil, err
	}
	bundle, err := keepBundle(ctx, env)
	if err != nil {
		return nil, err
	}
	r := &rotation{env: env, bundle: bundle}
	for range 3 {
		signer, err := newSigner(env)
		if err != nil {
			return nil, err
		}
		r.signers = append(r.signers, signer)
	}
	if err := r.publish(ctx); err != nil {
		return nil, err
	}
	agent, err := env.Agent(ctx, sandbox.ReplicaOptions{})
	if err != nil {
		return nil, err
	}
	if err := r.sign(); err != nil {
		return nil, err
	}
	url := agent.EndpointURL() + "/kubernetes/cluster/api/v1/namespaces/default/configmaps/kube-root-ca.crt"
	client := load.Client(env.EndpointTLS(), true)
	defer client.CloseIdleConnections()
	requests := load.Start(ctx, 50, time.Minute, func(ctx context.Context) load.Answer { return load.Get(client, url, r.token())(ctx) })
	defer requests.Stop()
	result := &chaos.Result{}
	var slowest time.Duration
	rotations := env.Count(6, 3)
	for range rotations {
		chaos.Sleep(ctx, env.Time(10*time.Second, time.Second))
		took, err := r.rotate(ctx, func(token string) load.Answer { return load.Get(client, url, token)(ctx) })
		if err != nil {
			return nil, err
		}
		slowest = max(slowest, took)
	}
	samples := requests.Stop()
	failed := samples.Failed()
	result.None(fmt.Sprintf("refused requests of %d with valid tokens, over %d rotations", len(samples), rotations), len(failed), failed.Codes()+"\n"+failed.Examples())
	result.Within("removed key refused after", slowest, removal)
	return result, nil
}

// publish puts the public keys in force.
func (r *rotation) publish(ctx context.Context) error {
	return r.bundle.change(ctx, func(b *accesstoken.Bundle) {
		for _, signer := range r.signers {
			b.JWKS.Keys = append(b.JWKS.Keys, signer.PublicJWK())
		}
	})
}

// sign makes tokens by the keys that are in use.
func (r *rotation) sign() error {
	var tokens []string
	for _, signer := range r.signers[:2] {
		token, err := signer.Sign(r.env.Claims("rotated"))
		if err != nil {
			return err
		}
		tokens = append(tokens, token)
	}
	r.lock.Lock()
	defer r.lock.Unlock()
	r.tokens = tokens
	return nil
}

func (r *rotation) token() string {
	r.lock.Lock()
	defer r.lock.Unlock()
	return r.tokens[r.turn.Add(1)%uint64(len(r.tokens))]
}

// rotate drops the last key, goes on to the next, and says how long the dropped one was accepted.
func (r *rotation) rotate(ctx context.Context, try func(token string) load.Answer) (time.Duration, error) {
	dropped, err := r.signers[0].Sign(r.env.Claims("rotated"))
	if err != nil {
		return 0, err
	}
	if a := try(dropped); !a.OK() {
		return 0, fmt.Errorf("token of a key that is about to be dropped: %s", a)
	}
	next, err := newSigner(r.env)
	if err != nil {
		return 0, err
	}
	r.signers = append(r.signers[1:], next)
	if err := r.sign(); err != nil {
		return 0, err
	}
	// Requests with the dropped key's token are answered before it is dropped.
	chaos.Sleep(ctx, 500*time.Millisecond)
	if err := r.publish(ctx); err != nil {
		return 0, err
	}
	return chaos.Await(ctx, "the dropped key to be refused", 2*removal, func(context.Context) bool {
		return try(dropped).Code == http.StatusUnauthorized
	})
}
