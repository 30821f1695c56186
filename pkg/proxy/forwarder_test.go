package proxy

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
)

const (
	emptyAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
	switched    = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "
)

// stamped are the header lines by which the API server is told who asks.
var stamped = []string{
	"Authorization: Bearer agent-token",
	"Impersonate-Extra-Example.com%2fscope: a",
	"Impersonate-Group: dev",
	"Impersonate-Group: loft:authenticated",
	"Impersonate-Uid: 42",
	"Impersonate-User: loft:user:alice",
}

// hostile are header lines of clients who want to be somebody else or elsewhere.
var hostile = []struct {
	name  string
	lines []string
}{
	{"nothing", nil},
	{"connection drops the user", []string{"Connection: Impersonate-User"}},
	{"connection drops the user in lower case", []string{"connection: impersonate-user"}},
	{"connection drops everything in a list", []string{
		"Connection: keep-alive, Impersonate-User, impersonate-group ,IMPERSONATE-UID, Authorization",
		"Connection: Impersonate-Extra-Example.com%2fscope",
	}},
	{"impersonation", []string{
		"Impersonate-User: admin", "Impersonate-Group: system:masters", "Impersonate-Uid: 0",
		"Impersonate-Extra-Scopes: all", "Impersonate-Extra-Example.com%2fscope: b", "Impersonate-Anything: x",
	}},
	{"impersonation in other cases", []string{
		"impersonate-user: admin", "IMPERSONATE-GROUP: system:masters", "iMPERSONATE-uID: 0", "impersonate-EXTRA-scopes: all",
	}},
	{"impersonation twice", []string{"Impersonate-User: admin", "Impersonate-User: root"}},
	{"front proxy", []string{
		"X-Remote-User: admin", "x-remote-group: system:masters", "X-REMOTE-UID: 0", "X-Remote-Extra-Scopes: all",
	}},
	{"credentials", []string{"Authorization: Bearer stolen", "authorization: Basic YTpi", "Proxy-Authorization: Basic YTpi"}},
	{"audit ID", []string{"Audit-ID: forged"}},
	{"addresses", []string{
		"X-Forwarded-For: 10.1.1.1", "X-Forwarded-Host: a", "X-Forwarded-Proto: http", "X-Forwarded-Uri: /b",
		"Forwarded: for=10.1.1.1", "X-Real-Ip: 10.1.1.1",
	}},
	{"hop by hop", []string{
		"Proxy-Connection: keep-alive", "Proxy-Authenticate: Basic", "Keep-Alive: timeout=5", "TE: gzip",
	}},
	{"bearer sub-protocol alone", []string{"Sec-WebSocket-Protocol: base64url.bearer.authorization.k8s.io.c3RvbGVu"}},
}

// sent checks the whole head that rec received.
func sent(t *testing.T, rec *recorder, requestLine string, headers ...string) {
	t.Helper()
	got := await(t, rec.heads, "a request")
	slices.Sort(headers)
	want := strings.Join(append([]string{requestLine, "Host: " + rec.address, "User-Agent: kubectl/1.37"}, headers...), "\r\n") + "\r\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("request at the API server (-want +got):\n%s", diff)
	}
}

func TestHostileHeadersChangeNothingOfAPlainRequest(t *testing.T) {
	noLeak(t)
	rec := newRecorder(t, emptyAnswer)
	door := newDoor(t, forwarderTo(t, rec.config), Call{User: alice, ClientIP: "192.0.2.7", AuditID: "ours"})
	for _, tc := range hostile {
		t.Run(tc.name, func(t *testing.T) {
			lines := append([]string{"GET /api/v1/pods HTTP/1.1", "Host: e", "User-Agent: kubectl/1.37", "Accept: */*"}, tc.lines...)
			if res := dialRaw(t, door).send(t, lines, ""); res.StatusCode != http.StatusOK {
				t.Errorf("answer %s", res.Status)
			}
			sent(t, rec, "GET /api/v1/pods HTTP/1.1",
				slices.Concat(stamped, []string{"Accept: */*", "X-Forwarded-For: 192.0.2.7", "Audit-Id: ours"})...)
		})
	}
}

func TestHostileHeadersChangeNothingOfAnUpgrade(t *testing.T) {
	noLeak(t)
	for _, protocol := range []string{"websocket", "SPDY/3.1"} {
		rec := newRecorder(t, switched+protocol+"\r\n\r\n")
		door := newDoor(t, forwarderTo(t, rec.config), Call{User: alice, Lane: Upgrade})
		for _, tc := range hostile {
			t.Run(protocol+" "+tc.name, func(t *testing.T) {
				lines := append([]string{
					"GET /exec HTTP/1.1", "Host: e", "User-Agent: kubectl/1.37", "Connection: Upgrade", "Upgrade: " + protocol,
				}, tc.lines...)
				client := dialRaw(t, door)
				client.send(t, lines, "")
				sent(t, rec, "GET /exec HTTP/1.1", slices.Concat(stamped, []string{"Connection: Upgrade", "Upgrade: " + protocol})...)
				_ = client.Close()
				await(t, rec.closed, "the end of the upgraded connection")
			})
		}
	}
}

func TestUpgradeNobodyAskedForIsNotSent(t *testing.T) {
	noLeak(t)
	rec := newRecorder(t, emptyAnswer)
	door := newDoor(t, forwarderTo(t, rec.config), Call{User: alice})
	for _, lines := range [][]string{
		{"Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA", "Connection: HTTP2-Settings"},
		{"Upgrade: websocket"},
		{"Upgrade: SPDY/3.1", "Connection: keep-alive"},
	} {
		t.Run(lines[0], func(t *testing.T) {
			head := append([]string{"GET / HTTP/1.1", "Host: e", "User-Agent: kubectl/1.37"}, lines...)
			dialRaw(t, door).send(t, head, "")
			sent(t, rec, "GET / HTTP/1.1", slices.Clone(stamped)...)
		})
	}
}

func TestBearerSubprotocolIsTakenOutOfAnUpgrade(t *testing.T) {
	noLeak(t)
	rec := newRecorder(t, switched+"websocket\r\n\r\n")
	door := newDoor(t, forwarderTo(t, rec.config), Call{User: alice, Lane: Upgrade})
	client := dialRaw(t, door)
	client.send(t, []string{
		"GET /exec HTTP/1.1", "Host: e", "User-Agent: kubectl/1.37", "Connection: Upgrade", "Upgrade: websocket",
		"Sec-WebSocket-Protocol: v5.channel.k8s.io, base64url.bearer.authorization.k8s.io.c3RvbGVu",
		"Sec-WebSocket-Protocol: base64url.bearer.authorization.k8s.io.YQ,v4.channel.k8s.io",
	}, "")
	sent(t, rec, "GET /exec HTTP/1.1", slices.Concat(stamped, []string{
		"Connection: Upgrade", "Upgrade: websocket", "Sec-Websocket-Protocol: v5.channel.k8s.io, v4.channel.k8s.io",
	})...)
}

func TestHostileTrailersAreNotSent(t *testing.T) {
	noLeak(t)
	type request struct{ header, trailer http.Header }
	received := make(chan request, 1)
	_, config := newAPIServer(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		received <- request{r.Header, r.Trailer}
	})
	door := newDoor(t, forwarderTo(t, config), Call{User: alice})
	dialRaw(t, door).send(t, []string{
		"POST /api HTTP/1.1", "Host: e", "Transfer-Encoding: chunked", "TE: trailers",
		"Trailer: Impersonate-User, X-Remote-User",
	}, "1\r\nx\r\n0\r\nImpersonate-User: admin\r\nX-Remote-User: admin\r\n\r\n")
	got := await(t, received, "a request")
	if len(got.trailer) > 0 {
		t.Errorf("trailers at the API server: %v", got.trailer)
	}
	if user := got.header["Impersonate-User"]; !slices.Equal(user, []string{alice.Name}) {
		t.Errorf("user at the API server: %q", user)
	}
}

func TestHostileHeadersChangeNothingOfAStream(t *testing.T) {
	noLeak(t)
	received := make(chan *http.Request, 1)
	_, config := newAPIServer(t, func(_ http.ResponseWriter, r *http.Request) { received <- r })
	door := newDoor(t, forwarderTo(t, config), Call{User: alice, Lane: Stream})
	for _, tc := range hostile {
		t.Run(tc.name, func(t *testing.T) {
			lines := append([]string{"GET /api/v1/pods?watch=1 HTTP/1.1", "Host: e", "User-Agent: kubectl/1.37"}, tc.lines...)
			dialRaw(t, door).send(t, lines, "")
			got := await(t, received, "a request")
			want := http.Header{"User-Agent": {"kubectl/1.37"}}
			for _, line := range stamped {
				key, value, _ := strings.Cut(line, ": ")
				want[key] = append(want[key], value)
			}
			if diff := cmp.Diff(want, got.Header); diff != "" || got.ProtoMajor != 2 {
				t.Errorf("HTTP/%d headers (-want +got):\n%s", got.ProtoMajor, diff)
			}
		})
	}
}

func TestPathAndQueryArriveByteForByte(t *testing.T) {
	noLeak(t)
	rec := newRecorder(t, emptyAnswer)
	f := forwarderTo(t, rec.config)
	for _, uri := range []string{
		"/",
		"/api/v1/namespaces/a%2fb/pods",
		"/api/v1/namespaces/a/services/x/proxy//twice/%2e%2e/../end/",
		"/apis/%41", // an escape that nobody needs
		"/a%20b/%C3%A4;v=1,2",
		"/a?x=1;y=2&z=%2f%2F+%20",
		"/a?",
		"/a?b=c?d=e&&=&%zz",
		"/a?fieldSelector=metadata.name%3Da,b!=c",
	} {
		for _, lane := range []Lane{Short, Upgrade} {
			t.Run(uri, func(t *testing.T) {
				door := newDoor(t, f, Call{User: alice, Lane: lane})
				lines := []string{"GET " + uri + " HTTP/1.1", "Host: e"}
				dialRaw(t, door).send(t, lines, "")
				first, _, _ := strings.Cut(await(t, rec.heads, "a request"), "\r\n")
				if want := "GET " + uri + " HTTP/1.1"; first != want {
					t.Errorf("request line %q, want %q", first, want)
				}
			})
		}
	}
}

func TestUserWithoutNameIsNeverForwarded(t *testing.T) {
	noLeak(t)
	rec := newRecorder(t, emptyAnswer)
	f := forwarderTo(t, rec.config)
	for name, u := range map[string]user.Info{
		"nobody": nil, "empty": &user.DefaultInfo{Groups: []string{"system:masters"}}, "blank": &user.DefaultInfo{Name: " "},
		"line break": &user.DefaultInfo{Name: "a\r\nImpersonate-Group: system:masters"},
	} {
		for _, lane := range []Lane{Short, Stream, Upgrade} {
			t.Run(name, func(t *testing.T) {
				wantStatus(t, get(t, newDoor(t, f, Call{User: u, Lane: lane}), "/api"), http.StatusBadRequest, metav1.StatusReasonBadRequest)
				select {
				case head := <-rec.heads:
					t.Errorf("the API server received %q", head)
				default:
				}
			})
		}
	}
}

func TestRedirectIsNotFollowedAndStaysBelowThePrefix(t *testing.T) {
	noLeak(t)
	const prefix = "/kubernetes/cluster"
	for location, want := range map[string]string{
		"/api/v1/x/":                prefix + "/api/v1/x/",
		"//evil.example.com/":       "//evil.example.com/",
		"https://evil.example.com/": "https://evil.example.com/",
		"relative":                  "relative",
	} {
		t.Run(location, func(t *testing.T) {
			rec := newRecorder(t, "HTTP/1.1 302 Found\r\nLocation: "+location+"\r\nContent-Length: 0\r\n\r\n")
			res := get(t, newDoor(t, forwarderTo(t, rec.config), Call{User: alice, Prefix: prefix}), "/api")
			if got := res.Header.Get("Location"); res.StatusCode != http.StatusFound || got != want {
				t.Errorf("answer %s to %q, want 302 to %q", res.Status, got, want)
			}
			await(t, rec.heads, "the request")
			if len(rec.heads) > 0 {
				t.Errorf("a second request: %q", <-rec.heads)
			}
		})
	}
}
