package wire

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"

	"loft.sh/agent/test/controlplane"
)

// Fault is how requests fail.
type Fault int

// The faults: none, an answer of 500, and no answer at all.
const (
	Healthy Fault = iota
	Error500
	Hang
)

func (f Fault) String() string { return [...]string{"healthy", "answers 500", "hangs"}[f] }

// Faulty is an API server that fails at some of its paths: a reverse proxy in front of a good one.
type Faulty struct {
	server   *http.Server
	listener net.Listener
	proxy    *httputil.ReverseProxy

	lock   sync.Mutex
	suffix string
	fault  Fault
	hits   int
}

// NewFaulty serves at a free port with a certificate of the cluster's own authority.
func NewFaulty(cluster *controlplane.ControlPlane) (*Faulty, error) {
	pair, err := cluster.ClientCA().IssueServing("127.0.0.1", "localhost")
	if err != nil {
		return nil, err
	}
	certificate, err := tls.X509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		return nil, fmt.Errorf("faulty API server: %w", err)
	}
	target, err := url.Parse(cluster.URL())
	if err != nil {
		return nil, fmt.Errorf("faulty API server: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(cluster.CAData())
	f := &Faulty{proxy: &httputil.ReverseProxy{
		Rewrite:       func(p *httputil.ProxyRequest) { p.SetURL(target) },
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 100},
		FlushInterval: -1,
	}}
	if f.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("faulty API server: %w", err)
	}
	f.server = &http.Server{
		Handler: f, TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}}, ReadHeaderTimeout: time.Minute,
	}
	go func() { _ = f.server.ServeTLS(f.listener, "", "") }()
	return f, nil
}

// URL is where it serves.
func (f *Faulty) URL() string { return "https://" + f.listener.Addr().String() }

// Break makes requests fail whose path ends in suffix; the number of those starts anew.
func (f *Faulty) Break(suffix string, fault Fault) {
	f.lock.Lock()
	defer f.lock.Unlock()
	f.suffix, f.fault, f.hits = suffix, fault, 0
}

// Hits is how many requests failed since Break.
func (f *Faulty) Hits() int {
	f.lock.Lock()
	defer f.lock.Unlock()
	return f.hits
}

// Close ends it and what it serves.
func (f *Faulty) Close() error { return f.server.Close() }

// ServeHTTP implements http.Handler.
func (f *Faulty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch f.faultOf(r.URL.Path) {
	case Error500:
		w.WriteHeader(http.StatusInternalServerError)
	case Hang:
		<-r.Context().Done()
	default:
		f.proxy.ServeHTTP(w, r)
	}
}

func (f *Faulty) faultOf(path string) Fault {
	f.lock.Lock()
	defer f.lock.Unlock()
	if f.suffix == "" || !strings.HasSuffix(path, f.suffix) {
		return Healthy
	}
	f.hits++
	return f.fault
}
