package e2e

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"loft.sh/agent/test/controlplane"
)

const (
	clusterPath = "/kubernetes/cluster"
	rawPatience = 30 * time.Second
)

// rawPort is a listener that is sent whatever a test writes, byte for byte.
type rawPort struct {
	name, address string
	tls           *tls.Config
}

// rawPorts are the two outer listeners.
func rawPorts(t *testing.T) []rawPort {
	t.Helper()
	return []rawPort{
		newRawPort(t, "HTTPS", shared.EndpointURL(), tls.Certificate{}),
		newRawPort(t, "HTTP", shared.EndpointHTTPURL(), tls.Certificate{}),
	}
}

// newRawPort is the listener at address, spoken to with a client certificate where there is one.
func newRawPort(t *testing.T, name, address string, certificate tls.Certificate) rawPort {
	t.Helper()
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	p := rawPort{name: name, address: parsed.Host}
	if parsed.Scheme == "https" {
		// The certificate of the server is the business of other tests; the API server has another CA.
		p.tls = &tls.Config{InsecureSkipVerify: true}
		if certificate.Certificate != nil {
			p.tls.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificate, nil }
		}
	}
	return p
}

// keyPair is a client's certificate for TLS.
func keyPair(t *testing.T, pair controlplane.KeyPair) tls.Certificate {
	t.Helper()
	certificate, err := tls.X509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

// rawAnswer is an answer, read to its end.
type rawAnswer struct {
	code   int
	header http.Header
	body   []byte
}

// send writes "METHOD target HTTP/1.1", lines and body, and reads the answer.
func (p rawPort) send(t *testing.T, method, target, body string, lines ...string) rawAnswer {
	t.Helper()
	conn, err := p.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	head := []string{method + " " + target + " HTTP/1.1", "Host: " + p.address}
	if body != "" {
		head = append(head, "Content-Type: application/json", fmt.Sprintf("Content-Length: %d", len(body)))
	}
	request := strings.Join(append(head, lines...), "\r\n") + "\r\n\r\n" + body
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%s %s: read the answer: %v", method, target, err)
	}
	defer func() { _ = res.Body.Close() }()
	answer := rawAnswer{code: res.StatusCode, header: res.Header}
	if res.StatusCode == http.StatusSwitchingProtocols {
		return answer
	}
	if answer.body, err = io.ReadAll(res.Body); err != nil {
		t.Fatalf("%s %s: read the answer: %v", method, target, err)
	}
	return answer
}

func (p rawPort) dial(ctx context.Context) (io.ReadWriteCloser, error) {
	ctx, cancel := context.WithTimeout(ctx, rawPatience)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", p.address)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(rawPatience)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if p.tls == nil {
		return conn, nil
	}
	return tls.Client(conn, p.tls), nil
}

// bearer is the header line that carries token.
func bearer(token string) string { return "Authorization: Bearer " + token }

// wantStatus fails where a is not a metav1.Status with code and reason whose message holds all of
// words.
func (a rawAnswer) wantStatus(t *testing.T, code int, reason metav1.StatusReason, words ...string) {
	t.Helper()
	var status metav1.Status
	if err := json.Unmarshal(a.body, &status); err != nil {
		t.Fatalf("answer %d %q is no Status: %v", a.code, a.body, err)
	}
	if a.code != code || status.Kind != "Status" || status.APIVersion != "v1" || status.Code != int32(code) ||
		status.Status != metav1.StatusFailure || status.Reason != reason || status.Message == "" {
		t.Errorf("answer %d %s; want a Status %d %s", a.code, a.body, code, reason)
	}
	for _, word := range words {
		if !strings.Contains(status.Message, word) {
			t.Errorf("message %q lacks %q", status.Message, word)
		}
	}
}

// wantCORS fails where a page of another origin could not read a.
func (a rawAnswer) wantCORS(t *testing.T) {
	t.Helper()
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin":  "*",
		"Access-Control-Allow-Headers": "*",
		"Access-Control-Allow-Methods": "POST, GET, OPTIONS, PUT, DELETE, PATCH",
	} {
		if got := a.header.Values(name); len(got) == 0 || got[0] != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := a.header.Values("Access-Control-Allow-Credentials"); len(got) > 0 {
		t.Errorf("Access-Control-Allow-Credentials: %q, want none", got)
	}
	if got := a.header.Get("Cache-Control"); got != "no-cache, private" {
		t.Errorf("Cache-Control: %q", got)
	}
}

// uniqueAgent is a User-Agent by which one request is found in an audit log.
func uniqueAgent() string { return "e2e-" + rand.Text() }

// audited waits for the events of an audit log that match, in the order of the log.
func audited(t *testing.T, file string, matches func(*auditv1.Event) bool) []auditv1.Event {
	t.Helper()
	var found []auditv1.Event
	await(t, func(context.Context) error {
		found = nil
		err := eachEvent(file, func(e *auditv1.Event) {
			if matches(e) {
				found = append(found, *e)
			}
		})
		if err == nil && len(found) == 0 {
			err = errors.New("no such event in the audit log")
		}
		return err
	})
	return found
}

// eachEvent reads an audit log, which may still grow.
func eachEvent(file string, visit func(*auditv1.Event)) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("audit log: %w", err)
	}
	defer func() { _ = f.Close() }()
	reader := bufio.NewReader(f)
	for {
		line, err := reader.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil // what follows the last line break is still being written
		} else if err != nil {
			return fmt.Errorf("audit log: %w", err)
		}
		var event auditv1.Event
		if err := json.Unmarshal(line, &event); err != nil {
			return fmt.Errorf("audit log %q: %w", file, err)
		}
		visit(&event)
	}
}
