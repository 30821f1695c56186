package target

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
	"k8s.io/client-go/kubernetes"

	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/test/controlplane"
	"loft.sh/agent/test/sandbox"
)

const (
	// person is who asks through the endpoint.
	person = "bench"
	// certificateUser is who asks with a client certificate.
	certificateUser = "bench-certificate"

	stopGrace = 5 * time.Second
	tokenTTL  = 4 * time.Hour
	agentUser = "system:serviceaccount:loft:loft-agent"
)

// Options of an environment.
type Options struct {
	// Dir keeps everything; required.
	Dir string
	// Targets that are wanted; Direct is always there.
	Targets []string
	// AgentArgs are added to the agent's flags.
	AgentArgs []string
	// Log takes what is done.
	Log io.Writer
}

// Env is a control plane with everything in front of it, running.
type Env struct {
	Sandbox  *sandbox.Sandbox
	Targets  []*Target
	Upstream *Upstream
	// Notices say what is missing, for people.
	Notices []string

	opts      Options
	client    kubernetes.Interface
	processes []*controlplane.Process
}

// Start starts everything. What was started is stopped again where something fails.
func Start(ctx context.Context, opts Options) (_ *Env, err error) {
	e := &Env{opts: opts}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Stop())
		}
	}()
	e.Sandbox, err = sandbox.Start(ctx, sandbox.Options{
		Dir: filepath.Join(opts.Dir, "sandbox"), AgentArgs: opts.AgentArgs, Log: opts.Log,
	})
	if err != nil {
		return nil, err
	}
	if e.client, err = kubernetes.NewForConfig(e.Sandbox.Cluster().RESTConfig()); err != nil {
		return nil, fmt.Errorf("client of the API server: %w", err)
	}
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"grant access", e.grant},
		{"make objects", e.seed},
		{"direct", e.addDirect},
		{"client certificate", e.addCertificate},
		{"endpoint", e.addEndpoint},
		{"nginx", e.addNginx},
		{"kubectl proxy", e.addKubectl},
	} {
		if err := step.do(ctx); err != nil {
			return nil, fmt.Errorf("bench: %s: %w", step.what, err)
		}
	}
	e.Upstream, err = openUpstream(e.Sandbox.Cluster().AuditLog())
	return e, err
}

// Stop ends every process.
func (e *Env) Stop() error {
	var errs []error
	for _, process := range e.processes {
		errs = append(errs, process.Stop(stopGrace))
	}
	if e.Sandbox != nil {
		errs = append(errs, e.Sandbox.Stop())
	}
	if e.Upstream != nil {
		errs = append(errs, e.Upstream.file.Close())
	}
	return errors.Join(errs...)
}

func (e *Env) wanted(name string) bool { return slices.Contains(e.opts.Targets, name) }

func (e *Env) path(elem ...string) string {
	return filepath.Join(append([]string{e.opts.Dir}, elem...)...)
}

// addDirect adds the API server itself, asked by a service account.
func (e *Env) addDirect(ctx context.Context) error {
	token, user, err := e.account(ctx, "direct")
	if err != nil {
		return err
	}
	e.Targets = append(e.Targets, &Target{
		Name: Direct, BaseURL: e.Sandbox.Cluster().URL(), Token: token, TLS: e.clusterTLS(), User: user,
	})
	return nil
}

// addCertificate adds the API server asked with a client certificate. Its chain is verified with every
// request, where a token's verification is cached, so the token is the harder yardstick.
func (e *Env) addCertificate(context.Context) error {
	if !e.wanted(Certificate) {
		return nil
	}
	cert, key, err := e.Sandbox.Cluster().IssueClientCert(certificateUser, nil)
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("client certificate: %w", err)
	}
	config := e.clusterTLS()
	config.Certificates = []tls.Certificate{pair}
	e.Targets = append(e.Targets, &Target{
		Name: Certificate, BaseURL: e.Sandbox.Cluster().URL(), TLS: config, User: certificateUser,
	})
	return nil
}

func (e *Env) addEndpoint(context.Context) error {
	if !e.wanted(Endpoint) {
		return nil
	}
	keys := e.Sandbox.Keys()
	token, err := keys.Signer().Sign(accesstoken.Claims{
		Subject: accesstoken.PersonName(person), UID: "bench-uid", Groups: accesstoken.PersonGroups(person, "dev"),
		Audience: jwt.Audience{keys.ClusterUID()}, Expiry: jwt.NewNumericDate(time.Now().Add(tokenTTL)),
	})
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(e.Sandbox.EndpointCA())
	if err != nil {
		return fmt.Errorf("CA of the endpoint: %w", err)
	}
	e.Targets = append(e.Targets, &Target{
		Name: Endpoint, BaseURL: e.Sandbox.EndpointURL() + "/kubernetes/cluster", Token: token, TLS: trust(ca),
		User: agentUser, PID: e.Sandbox.Agent().PID(),
	})
	return nil
}

func (e *Env) clusterTLS() *tls.Config { return trust(e.Sandbox.Cluster().CAData()) }
