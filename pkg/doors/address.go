package doors

import (
	"errors"
	"fmt"
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

// ParseClientAddresses reads networks (CIDR), the values of the named flag. It reports every fault at
// once.
func ParseClientAddresses(flag string, cidrs []string) (ClientAddresses, error) {
	var a ClientAddresses
	var errs []error
	for _, cidr := range cidrs {
		network, err := netip.ParsePrefix(cidr)
		if err != nil {
			errs = append(errs, fmt.Errorf("--%s: %q is not a network such as 10.0.0.0/8", flag, cidr))
			continue
		}
		a.TrustedProxies = append(a.TrustedProxies, network.Masked())
	}
	return a, errors.Join(errs...)
}

// Settle leaves exactly one address in X-Forwarded-For where a trusted proxy named one, and none
// otherwise. Audit reads the header, and so must not see a client's invention. aggregated is set
// where the aggregator, which shows a certificate, is the proxy.
func (a ClientAddresses) Settle(r *http.Request, aggregated bool) {
	address := a.forwardedFor(r, aggregated)
	for _, name := range []string{"X-Forwarded-For", "X-Real-Ip", "Forwarded"} {
		delete(r.Header, name)
	}
	if address != "" {
		r.Header["X-Forwarded-For"] = []string{address}
	}
}

// forwardedFor is the client that a trusted proxy named: the last address that is not a trusted
// proxy's own. Empty: nobody trusted named one.
func (a ClientAddresses) forwardedFor(r *http.Request, aggregated bool) string {
	lines := r.Header["X-Forwarded-For"]
	if len(lines) == 0 || !a.trusted(r, aggregated) {
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
		if !a.includes(address) {
			return last
		}
	}
	return last
}

func (a ClientAddresses) trusted(r *http.Request, aggregated bool) bool {
	if aggregated {
		return r.TLS != nil && len(r.TLS.PeerCertificates) > 0
	}
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && a.includes(remote.Addr())
}

func (a ClientAddresses) includes(address netip.Addr) bool {
	for _, network := range a.TrustedProxies {
		if network.Contains(address.Unmap()) {
			return true
		}
	}
	return false
}

// ClientIP is the address of the client, behind Settle. Empty: it is not known.
func ClientIP(r *http.Request) string {
	if forwarded := r.Header.Get("X-Forwarded-For"); forwarded != "" {
		return forwarded
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}
