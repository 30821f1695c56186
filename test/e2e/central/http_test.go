package central

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// management is where the management API lies on the manager's door.
const management = "/kubernetes/management/apis/management.loft.sh/v1"

// clients are kept by certificate authority, as one client of a person's would be.
var clients sync.Map

// answer is what came back, or why nothing did.
type answer struct {
	err    error
	code   int
	header http.Header
	body   []byte
	object map[string]any
}

// clientFor trusts the authority in a file alone.
func clientFor(caFile string) (*http.Client, error) {
	if known, found := clients.Load(caFile); found {
		return known.(*http.Client), nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("no certificate in %q", caFile)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}}
	known, _ := clients.LoadOrStore(caFile, client)
	return known.(*http.Client), nil
}

func newRequest(token, method, url, body string) (*http.Request, error) {
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "loftctl/2.3.4")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// send asks as a 2.x client does, and decodes an answer in JSON.
func send(caFile, token, method, url, body string) answer {
	client, err := clientFor(caFile)
	if err != nil {
		return answer{err: err}
	}
	req, err := newRequest(token, method, url, body)
	if err != nil {
		return answer{err: err}
	}
	res, err := client.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer func() { _ = res.Body.Close() }()
	a := answer{code: res.StatusCode, header: res.Header}
	if a.body, a.err = io.ReadAll(res.Body); a.err == nil {
		_ = json.Unmarshal(a.body, &a.object) // /healthz and others are no JSON
	}
	return a
}

// wants is an error unless the answer has the code.
func (a answer) wants(code int) error {
	switch {
	case a.err != nil:
		return a.err
	case a.code != code:
		return fmt.Errorf("answer %d, want %d: %s", a.code, code, a.body)
	}
	return nil
}

// field is a part of the answer; nil: it is not there.
func (a answer) field(path ...string) any {
	var current any = a.object
	for _, name := range path {
		object, ok := current.(map[string]any)
		if !ok {
			return nil
		}
		current = object[name]
	}
	return current
}

// stream is an answer that does not end by itself.
type stream struct {
	first string
	ended chan struct{}
	at    time.Time
	err   error
}

// openStream waits for the first bytes, and notes when the answer ends.
func openStream(caFile, token, url string) (*stream, error) {
	client, err := clientFor(caFile)
	if err != nil {
		return nil, err
	}
	req, err := newRequest(token, http.MethodGet, url, "")
	if err != nil {
		return nil, err
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(res.Body)
		return nil, errors.Join(fmt.Errorf("answer %d: %s", res.StatusCode, body), res.Body.Close())
	}
	buffer := make([]byte, 4096)
	n, err := res.Body.Read(buffer)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the stream ended at once: %w", err), res.Body.Close())
	}
	s := &stream{first: string(buffer[:n]), ended: make(chan struct{})}
	go func() {
		_, s.err = io.Copy(io.Discard, res.Body)
		s.at = time.Now()
		_ = res.Body.Close()
		close(s.ended)
	}()
	return s, nil
}
