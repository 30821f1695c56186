package direct

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// ClientAddresses knows whose word about a client's address is taken.
type ClientAddresses struct {
	// TrustedProxies are the networks of proxies that set X-Forwarded-For truthfully.
	TrustedProxies []netip.Prefix
}

// withClientAddress leaves exactly one address in X-Forwarded-For where a trusted proxy named
// one, and none otherwise. Audit reads the header, and so must not see a client's invention.
func (c *Config) withClientAddress(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		address := c.forwardedFor(r)
		for _, name := range []string{"X-Forwarded-For", "X-Real-Ip", "Forwarded"} {
			delete(r.Header, name)
		}
		if address != "" {
			r.Header["X-Forwarded-For"] = []string{address}
		}
		if !c.Aggregated {
			// The aggregator sends the API server's audit ID; anybody else gets a new one.
			delete(r.Header, "Audit-Id")
		}
		next.ServeHTTP(w, r)
	})
}

// forwardedFor is the client that a trusted proxy named: the last address that is not a trusted
// proxy's own. Empty: nobody trusted named one.
func (c *Config) forwardedFor(r *http.Request) string {
	lines := r.Header["X-Forwarded-For"]
	if len(lines) == 0 || !c.trusted(r) {
		return ""
	}
	addresses := strings.Split(strings.Join(lines, ","), ",")
	last := ""
	for i := len(addresses) - 1; i >= 0; i-- {
		address, err := netip.ParseAddr(strings.TrimSpace(addresses[i]))
		if err != nil {
			return last
		}
		last = address.Unmap().String()
		if !c.Clients.includes(address) {
			return last
		}
	}
	return last
}

func (c *Config) trusted(r *http.Request) bool {
	if c.Aggregated {
		return r.TLS != nil && len(r.TLS.PeerCertificates) > 0
	}
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && c.Clients.includes(remote.Addr())
}

func (a ClientAddresses) includes(address netip.Addr) bool {
	for _, network := range a.TrustedProxies {
		if network.Contains(address.Unmap()) {
			return true
		}
	}
	return false
}

// clientIP is the address that the API server is told, behind withClientAddress.
func clientIP(r *http.Request) string {
	if forwarded := r.Header.Get("X-Forwarded-For"); forwarded != "" {
		return forwarded
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}
