// Package trust holds the rows in which what the agent trusts, and is trusted by, changes under load:
// certificates, credentials, signing keys, and the tokens of open streams.
package trust

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/test/chaos"
	"loft.sh/agent/test/sandbox"
)

// Rows returns the rows.
func Rows() []chaos.Row {
	return []chaos.Row{
		{
			Name:  "files-swapped",
			Fault: "Serving certificate, trust bundle and host credentials swapped every 5 s, 100 new connections/s",
			Quick: true, Run: swapped,
		},
		{
			Name:  "keys-rotated",
			Fault: "Signing key rotated every 10 s, 50 requests/s",
			Quick: true, Run: rotated,
		},
		{
			Name:  "tokens-end",
			Fault: "Token expires, or is revoked, while watch, logs -f, exec and port-forward are open",
			Run:   tokensEnd,
		},
	}
}

// bundleKeeper changes the trust bundle of all agents, and puts the old one back.
type bundleKeeper struct {
	env  *chaos.Env
	good []byte
}

func keepBundle(ctx context.Context, env *chaos.Env) (*bundleKeeper, error) {
	env.LockBundle()
	configMap, err := env.Admin().CoreV1().ConfigMaps("loft").Get(ctx, "loft-agent-trust", metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("trust bundle: %w", err)
	}
	b := &bundleKeeper{env: env, good: []byte(configMap.Data["bundle.json"])}
	env.Defer(func() error { return b.set(context.WithoutCancel(ctx), b.good) })
	return b, nil
}

func (b *bundleKeeper) set(ctx context.Context, data []byte) error {
	return sandbox.SetTrustBundle(ctx, b.env.Admin(), data)
}

// change puts the first bundle in force with a change.
func (b *bundleKeeper) change(ctx context.Context, change func(*accesstoken.Bundle)) error {
	bundle, err := accesstoken.ParseBundle(b.good)
	if err != nil {
		return err
	}
	change(bundle)
	data, err := bundle.Encode()
	if err != nil {
		return err
	}
	return b.set(ctx, data)
}

// newSigner makes a signer of the sandbox's issuer with a key of its own.
func newSigner(env *chaos.Env) (*accesstoken.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, errors.Join(errors.New("signing key"), err)
	}
	return accesstoken.NewSigner(env.Sandbox().Keys().Signer().Issuer(), key)
}
