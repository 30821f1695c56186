package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport"
)

const (
	// idleConnections is how many unused connections are kept to one API server. More than the
	// requests in flight at a usual moment; a connection that is not kept costs a TLS handshake.
	idleConnections = 256
	dialTimeout     = 10 * time.Second
	keepAlive       = 15 * time.Second
	// idleTimeout is below the API server's own 90 s, so that we close first and a request never
	// meets a connection that the server is closing.
	idleTimeout = 60 * time.Second
	// What is left of a burst goes sooner: all connections beyond fewConnections that were not used
	// for spareTimeout.
	fewConnections = 8
	spareTimeout   = 15 * time.Second
)

// Upstream is one API server and the connections to it, made once.
type Upstream struct {
	base *url.URL
	// path is put before all others; empty where the API server's lie at the root.
	path   string
	token  oauth2.TokenSource
	lanes  [3]http.RoundTripper
	config *tls.Config
}

// NewUpstream prepares connections to the API server of config with its credential: a bearer
// token (re-read from its file) or a client certificate (re-read from its files). Other ways to
// authenticate are refused.
func NewUpstream(config *rest.Config) (*Upstream, error) {
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fmt.Errorf("host API server %q: %w", config.Host, err)
	}
	if config.ExecProvider != nil || config.AuthProvider != nil || config.Username != "" {
		return nil, errors.New("host API server: credential must be a bearer token or a client certificate")
	}
	transportConfig, err := config.TransportConfig()
	if err != nil {
		return nil, fmt.Errorf("host API server credentials: %w", err)
	}
	transportConfig.TLS.ReloadTLSFiles = true
	tlsConfig, err := transport.TLSConfigFor(transportConfig)
	if err != nil {
		return nil, fmt.Errorf("host API server TLS: %w", err)
	}
	u := &Upstream{base: base, path: strings.TrimRight(base.Path, "/"), token: tokenSource(config), config: tlsConfig}
	u.lanes = [...]http.RoundTripper{
		Short:   u.shortTransport(),
		Stream:  u.transport("h2"),
		Upgrade: u.upgradeTransport(),
	}
	return u, nil
}

// Close closes the connections that are not in use, and the others as soon as they are not. Nothing
// should be sent any more.
func (u *Upstream) Close() {
	for _, lane := range u.lanes {
		utilnet.CloseIdleConnectionsFor(lane)
	}
}

func tokenSource(config *rest.Config) oauth2.TokenSource {
	switch {
	case config.BearerTokenFile != "":
		return transport.NewCachedFileTokenSource(config.BearerTokenFile)
	case config.BearerToken != "":
		return oauth2.StaticTokenSource(&oauth2.Token{AccessToken: config.BearerToken})
	}
	return nil
}

// authorization is the value of the Authorization header of every forwarded request; empty where
// the credential is a client certificate.
func (u *Upstream) authorization() (string, error) {
	if u.token == nil {
		return "", nil
	}
	token, err := u.token.Token()
	if err != nil {
		return "", fmt.Errorf("host API server credential: %w", err)
	}
	return "Bearer " + token.AccessToken, nil
}

// transport speaks protocol alone. A round tripper that could choose would choose HTTP/2.
func (u *Upstream) transport(protocol string) *http.Transport {
	t := &http.Transport{
		TLSClientConfig:       u.tlsConfig(protocol),
		DialContext:           (&net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}).DialContext,
		TLSHandshakeTimeout:   dialTimeout,
		MaxIdleConnsPerHost:   idleConnections,
		IdleConnTimeout:       idleTimeout,
		ExpectContinueTimeout: time.Second,
		DisableCompression:    true, // the client asked for an encoding, or did not: its business
		WriteBufferSize:       4 << 10,
		ReadBufferSize:        16 << 10,
	}
	if protocol != "h2" {
		t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
		return t
	}
	// SetTransportDefaults configures HTTP/2 with client-go's pings: a dead server is found
	// within 45 s.
	return utilnet.SetTransportDefaults(t)
}

// shortTransport dials as the general transport does.
func (u *Upstream) shortTransport() *shortTransport {
	general := u.transport("http/1.1")
	address := u.base.Host
	if u.base.Port() == "" {
		address = net.JoinHostPort(u.base.Hostname(), u.base.Scheme)
	}
	config := general.TLSClientConfig
	if config.ServerName == "" {
		config = config.Clone()
		config.ServerName = u.base.Hostname()
	}
	dial := func(ctx context.Context) (*conn, error) {
		socket, err := general.DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, err
		}
		if u.base.Scheme != "https" {
			return newConn(socket, socket), nil
		}
		encrypted := tls.Client(socket, config)
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		if err := encrypted.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("TLS handshake: %w", err), socket.Close())
		}
		return newConn(encrypted, socket), nil
	}
	return &shortTransport{general: general, pool: pool{dial: dial}}
}

func (u *Upstream) upgradeTransport() *http.Transport {
	t := u.transport("http/1.1")
	// A refused upgrade must not leave a connection on which bytes of the other protocol follow.
	t.DisableKeepAlives = true
	return t
}

func (u *Upstream) tlsConfig(protocol string) *tls.Config {
	c := u.config.Clone() // nil where the system's authorities are trusted
	if c == nil {
		c = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	c.NextProtos = []string{protocol}
	return c
}
