package management

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
)

const api = "/kubernetes/management/apis/management.loft.sh/v1"

// client believes in any certificate: the manager makes its own.
var client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // see above

func get(url string) error {
	answer, err := client.Get(url) //nolint:noctx // a test's own server
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, answer.Status)
	}
	return nil
}

// answer is what came back.
type answer struct {
	code   int
	header http.Header
	body   map[string]any
	raw    string
}

// ask makes a request with a key; body may be empty.
func ask(t *testing.T, key, method, path, body string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, env.url+path, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{code: response.StatusCode, header: response.Header, raw: string(raw)}
	_ = json.Unmarshal(raw, &a.body)
	return a
}

// at returns what stands at a path of fields and indices, as text; empty: nothing does.
func (a answer) at(path string) string {
	var value any = a.body
	for step := range strings.SplitSeq(path, ".") {
		switch v := value.(type) {
		case map[string]any:
			value = v[step]
		case []any:
			var i int
			if _, err := fmt.Sscan(step, &i); err != nil || i >= len(v) {
				return ""
			}
			value = v[i]
		default:
			return ""
		}
	}
	if value == nil {
		return ""
	}
	if text, ok := value.(string); ok {
		return text
	}
	text, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	return string(text)
}

// kubectl runs with a user's key against the management API.
func kubectl(t *testing.T, user string, args ...string) (string, error) {
	t.Helper()
	args = append([]string{
		"--server=" + env.url + "/kubernetes/management", "--token=" + env.keys[user], "--insecure-skip-tls-verify", "--cache-dir=" + t.TempDir(), "--kubeconfig=/dev/null",
	}, args...)
	command := exec.CommandContext(t.Context(), env.central.Binaries().Kubectl, args...)
	out, err := command.CombinedOutput()
	return string(out), err
}

// mustKubectl fails the test where kubectl fails.
func mustKubectl(t *testing.T, user string, args ...string) string {
	t.Helper()
	out, err := kubectl(t, user, args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}
