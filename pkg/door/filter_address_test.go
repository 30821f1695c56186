package door

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"loft.sh/agent/pkg/doors"
)

func TestForgedAddressIsNotBelieved(t *testing.T) {
	clients, err := doors.ParseClientAddresses("trusted", []string{"10.0.0.0/8", "fd00::/8"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, remote string
		forwarded    []string
		aggregated   bool
		certificate  bool
		want         string
	}{
		{"nobody said anything", "192.0.2.1:1", nil, false, false, "192.0.2.1"},
		{"a client's invention", "192.0.2.1:1", []string{"198.51.100.7"}, false, false, "192.0.2.1"},
		{"a trusted proxy", "10.1.1.1:1", []string{"198.51.100.7"}, false, false, "198.51.100.7"},
		{"invention in front of a trusted proxy", "10.1.1.1:1", []string{"203.0.113.9, 198.51.100.7"}, false, false, "198.51.100.7"},
		{"two trusted proxies, two lines", "10.1.1.1:1", []string{"203.0.113.9", "198.51.100.7, 10.2.2.2"}, false, false, "198.51.100.7"},
		{"not an address", "10.1.1.1:1", []string{"mallory"}, false, false, "10.1.1.1"},
		{"IPv6 proxy", "[fd00::1]:1", []string{"2001:db8::7"}, false, false, "2001:db8::7"},
		{"aggregator", "192.0.2.1:1", []string{"198.51.100.7"}, true, true, "198.51.100.7"},
		{"somebody else at the aggregator's port", "192.0.2.1:1", []string{"198.51.100.7"}, true, false, "192.0.2.1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := &Config{Clients: clients, Aggregated: tc.aggregated}
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr = tc.remote
			r.Header = http.Header{"X-Real-Ip": {"203.0.113.1"}, "Forwarded": {"for=203.0.113.1"}}
			if tc.forwarded != nil {
				r.Header["X-Forwarded-For"] = tc.forwarded
			}
			if tc.certificate {
				r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{}}}
			}
			var got string
			c.withClientAddress(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				got = clientIP(r)
				if r.Header.Get("X-Real-Ip") != "" || r.Header.Get("Forwarded") != "" {
					t.Errorf("headers left: %v", r.Header)
				}
			})).ServeHTTP(httptest.NewRecorder(), r)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
