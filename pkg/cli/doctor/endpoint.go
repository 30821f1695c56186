package doctor

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	managementv1 "loft.sh/agent/apis/management/v1"
	"loft.sh/agent/pkg/cli/centre"
	"loft.sh/agent/pkg/cli/network"
	"loft.sh/agent/pkg/cli/probe"
	"loft.sh/agent/pkg/cli/session"
	"loft.sh/agent/pkg/endpoint"
)

// requestTimeout bounds each single request of an examination.
const requestTimeout = 10 * time.Second

// Examination is how clusters are examined.
type Examination struct {
	// Login is the session.
	Login session.Session
	// Client asks its manager.
	Client *centre.Client
	// Namespace is where streams are tried; empty: where they need the rights of an administrator.
	Namespace string
	// Idle is how long a silent connection is kept; 0: it is not tried.
	Idle time.Duration
}

// patient is a cluster under examination.
type patient struct {
	*Examination
	cluster *managementv1.Cluster
	at      *endpoint.Endpoint
	http    *http.Client
	health  *probe.Answer
	token   session.Token
	claims  claims
}

// Cluster examines the direct way to a cluster.
func (e *Examination) Cluster(ctx context.Context, cluster *managementv1.Cluster, tell func(Finding)) {
	p := &patient{Examination: e, cluster: cluster}
	examine(ctx, cluster.Name, p, []step[*patient]{
		{"annotations", annotations, true},
		{"dns", dns, true},
		{"tls", certificate, true},
		{"clock", clock, false},
		{"health", health, true},
		{"token", token, true},
		{"cluster", rightCluster, true},
		{"permission", permission, false},
		{"websocket", webSocket, false},
		{"spdy", spdy, false},
		{"idle", idle, false},
		{"speed", speed, false},
	}, tell)
}

func annotations(_ context.Context, p *patient) Finding {
	at, faults := endpoint.Parse(p.cluster.Annotations)
	if len(faults) > 0 {
		return failed(faults.ToAggregate().Error(), "mend the annotations of the Cluster "+p.cluster.Name)
	}
	if at == nil {
		return failed("the cluster has no direct endpoint", "expose the agent, and set the annotation loft.sh/direct-cluster-endpoint")
	}
	p.at, p.http = at, probe.HTTPClient(at)
	return ok(at.URL)
}

func dns(ctx context.Context, p *patient) Finding {
	u, err := url.Parse(p.at.URL)
	if err != nil {
		return failed(err.Error(), "")
	}
	if net.ParseIP(u.Hostname()) != nil {
		return ok("an address needs no name")
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupHost(ctx, u.Hostname())
	if err != nil {
		_, text := network.Explain(err)
		return failed(text, "make a DNS record for "+u.Hostname()+", or correct the annotation")
	}
	return ok(u.Hostname() + " is " + strings.Join(addresses, ", "))
}

// certificate connects, and judges what the endpoint shows.
func certificate(ctx context.Context, p *patient) Finding {
	answer, err := p.get(ctx, "/healthz", "")
	if err != nil {
		return unreachable(err)
	}
	p.health = answer
	if answer.TLS == nil || len(answer.TLS.PeerCertificates) == 0 {
		return failed("the endpoint speaks no TLS", "")
	}
	leaf := answer.TLS.PeerCertificates[0]
	if p.at.Insecure {
		return warning("the certificate is not verified, as the annotation says", "give the CA with loft.sh/direct-cluster-endpoint-ca-data instead")
	}
	return lifetime(leaf, time.Now())
}

func lifetime(leaf *x509.Certificate, now time.Time) Finding {
	left := leaf.NotAfter.Sub(now)
	text := "the certificate is good until " + leaf.NotAfter.UTC().Format(time.RFC3339)
	if left < expiring {
		return warning(text, "renew it; cert-manager does so by itself")
	}
	return ok(text)
}

// unreachable says what to do about a connection that could not be made.
func unreachable(err error) Finding {
	kind, _ := network.Explain(err)
	advice := map[network.Kind]string{
		network.KindUnknownCA: "put its CA into loft.sh/direct-cluster-endpoint-ca-data, or use a certificate of a public CA",
		network.KindWrongHost: "the certificate must name the host of loft.sh/direct-cluster-endpoint",
		network.KindExpired:   "renew the certificate, or set the clock",
		network.KindRefused:   "is the Service or Ingress of the agent there, and open to this network?",
		network.KindTimeout:   "a firewall may be in the way",
		network.KindNoTLS:     "the endpoint must end TLS: annotate the Ingress or use port 443",
	}[kind]
	return failed(err.Error(), advice)
}

func clock(_ context.Context, p *patient) Finding { return judgeClock(p.health.Header) }

func health(_ context.Context, p *patient) Finding {
	if p.health.Code != http.StatusOK {
		return failed("/healthz answers "+p.health.Status, "look at the agent: kubectl -n loft get pods, and its logs")
	}
	return ok("/healthz answers 200")
}

// rightCluster asks whether the endpoint takes the token that is for this cluster alone.
func rightCluster(ctx context.Context, p *patient) Finding {
	answer, err := p.get(ctx, "/kubernetes/cluster/version", p.token.Secret)
	if err != nil {
		return unreachable(err)
	}
	if err := probe.Judge(answer); err != nil {
		return failed(err.Error(), "compare the endpoint with the cluster's own agent; the condition TrustBundleSynced says whether that knows the manager's keys")
	}
	return ok("the agent takes the token of " + p.cluster.Name)
}

// get asks the endpoint.
func (p *patient) get(ctx context.Context, path, token string) (*probe.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return probe.Get(ctx, p.http, p.at.URL+path, token, centre.UserAgent())
}

var errCut = errors.New("the connection was cut")

func since(start time.Time) string { return fmt.Sprintf("%.0f s", time.Since(start).Seconds()) }
