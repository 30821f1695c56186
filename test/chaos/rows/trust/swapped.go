package trust

import (
	"context"
	"crypto/tls"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/test/chaos"
	"loft.sh/agent/test/chaos/load"
	"loft.sh/agent/test/sandbox"
)

// swapping is an agent whose files are swapped.
type swapping struct {
	env     *chaos.Env
	agent   *sandbox.Replica
	serving mount
	bundle  *bundleKeeper
	swaps   int

	lock sync.Mutex
	// serials are those of the certificates that clients saw.
	serials map[string]bool
}

func swapped(ctx context.Context, env *chaos.Env) (*chaos.Result, error) {
	token, err := env.Person(ctx, "swapped")
	if err != nil {
		return nil, err
	}
	s := &swapping{env: env, serving: mount{dir: filepath.Join(env.Dir, "swapped")}, serials: map[string]bool{}}
	if s.bundle, err = keepBundle(ctx, env); err != nil {
		return nil, err
	}
	if err := s.swapCertificate(); err != nil {
		return nil, err
	}
	s.agent, err = env.Agent(ctx, sandbox.ReplicaOptions{Args: []string{
		"--tls-cert-file=" + filepath.Join(s.serving.dir, "tls.crt"),
		"--tls-private-key-file=" + filepath.Join(s.serving.dir, "tls.key"),
	}})
	if err != nil {
		return nil, err
	}
	url := s.agent.EndpointURL() + "/kubernetes/cluster/api/v1/namespaces/default/configmaps/kube-root-ca.crt"
	requests := load.Start(ctx, env.Count(100, 50), time.Minute, load.Get(load.Fresh(s.observed()), url, token))
	defer requests.Stop()
	result := &chaos.Result{}
	for range env.Count(6, 2) {
		if err := s.swap(ctx); err != nil {
			return nil, err
		}
	}
	if err := s.breakFiles(ctx, result); err != nil {
		return nil, err
	}
	for range env.Count(6, 1) {
		if err := s.swap(ctx); err != nil {
			return nil, err
		}
	}
	samples := requests.Stop()
	failed := samples.Failed()
	result.None(fmt.Sprintf("refused requests of %d, a new connection each", len(samples)), len(failed), failed.Codes()+"\n"+failed.Examples())
	result.AtLeast("different certificates that clients saw", float64(len(s.serials)), float64(s.swaps/2+1), "")
	result.Note("p50 %s, p99 %s", samples.Quantile(0.5).Round(time.Millisecond), samples.Quantile(0.99).Round(time.Millisecond))
	return result, nil
}

// observed trusts the endpoint and notes its certificates.
func (s *swapping) observed() *tls.Config {
	config := s.env.EndpointTLS()
	config.VerifyConnection = func(state tls.ConnectionState) error {
		s.lock.Lock()
		defer s.lock.Unlock()
		s.serials[state.PeerCertificates[0].SerialNumber.String()] = true
		return nil
	}
	return config
}

// swap puts good new files in place of all three, and waits for the next turn.
func (s *swapping) swap(ctx context.Context) error {
	s.swaps++
	if err := s.swapCertificate(); err != nil {
		return err
	}
	if err := s.agent.RenewCredential(ctx); err != nil {
		return err
	}
	if err := s.bundle.change(ctx, func(b *accesstoken.Bundle) {
		b.Revocations.TokenIDs = append(b.Revocations.TokenIDs, fmt.Sprintf("swap-%d", s.swaps))
	}); err != nil {
		return err
	}
	chaos.Sleep(ctx, s.env.Time(5*time.Second, 2*time.Second))
	return nil
}

func (s *swapping) swapCertificate() error {
	pair, err := s.env.Sandbox().EndpointAuthority().IssueServing("localhost", "127.0.0.1")
	if err != nil {
		return err
	}
	return s.serving.write(map[string][]byte{"tls.crt": pair.Cert, "tls.key": pair.Key})
}

// breakFiles puts files in place that nobody can use. What was good before must stay in use, and
// /readyz must say so while the agent stays ready.
func (s *swapping) breakFiles(ctx context.Context, result *chaos.Result) error {
	garbage := []byte("not what it was\n")
	if err := s.serving.write(map[string][]byte{"tls.crt": garbage, "tls.key": garbage}); err != nil {
		return err
	}
	if err := s.bundle.set(ctx, []byte(`{"issuer": ""}`)); err != nil {
		return err
	}
	if err := s.agent.ReplaceCredential(nil); err != nil {
		return err
	}
	// Long enough for whoever reads the credential every ten seconds.
	const refused = " (a newer one was refused"
	for _, check := range []string{"serving-certificate", "trust-bundle", "host-credential"} {
		var ready bool
		var body string
		took, err := chaos.Await(ctx, check, s.env.Time(20*time.Second, 10*time.Second), func(ctx context.Context) bool {
			ready, body = s.env.Readyz(ctx, s.agent)
			return ready && strings.Contains(body, check+refused)
		})
		result.Hold(err == nil, "broken "+check+": still ready, and /readyz says that the old one is kept",
			fmt.Sprintf("ready %t, said after %.1f s", ready, took.Seconds()), "said", body)
	}
	chaos.Sleep(ctx, s.env.Time(12*time.Second, time.Second))
	return nil
}
