package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"loft.sh/agent/pkg/cli/failure"
)

// memory is a keyring; err is what it answers if set.
type memory struct {
	secrets map[string]string
	err     error
}

func (m *memory) get(account string) (string, error) {
	secret, ok := m.secrets[account]
	if !ok && m.err == nil {
		return "", errors.New("not found")
	}
	return secret, m.err
}

func (m *memory) set(account, secret string) error {
	if m.err == nil {
		m.secrets[account] = secret
	}
	return m.err
}

func (m *memory) remove(account string) error {
	delete(m.secrets, account)
	return m.err
}

func testStore(t *testing.T, content string) (*Store, *memory) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "loft", "config.json")
	if content != "" {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ring := &memory{secrets: map[string]string{}}
	return &Store{path: path, keyring: ring}, ring
}

var login = Session{Host: "https://loft.example.com", CAData: []byte("PEM"), AccessKey: "secret-key"}

func TestLogin(t *testing.T) {
	tests := []struct {
		name        string
		storage     Storage
		broken      error
		wantStorage Storage
		wantErr     string
	}{
		{"in the file", StorageFile, nil, StorageFile, ""},
		{"in the keyring", StorageKeyring, nil, StorageKeyring, ""},
		{"the keyring if there is one", StorageAuto, nil, StorageKeyring, ""},
		{"the file if there is none", StorageAuto, errNoKeyring, StorageFile, ""},
		{"no keyring where one is wanted", StorageKeyring, errNoKeyring, "", "there is none"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, ring := testStore(t, "")
			ring.err = tt.broken
			storage, err := s.Login(t.Context(), login, tt.storage)
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
					t.Fatalf("error %v, want %q", err, tt.wantErr)
				}
				if _, err := os.Stat(s.path); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("a file was written: %v", err)
				}
				return
			}
			if err != nil || storage != tt.wantStorage {
				t.Fatalf("got %q, %v, want %q", storage, err, tt.wantStorage)
			}
			got, err := s.Session()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(login, got); diff != "" {
				t.Errorf("session (-want +got):\n%s", diff)
			}
			data, _ := os.ReadFile(s.path)
			if inFile := strings.Contains(string(data), login.AccessKey); inFile != (storage == StorageFile) {
				t.Errorf("the key is in the file: %t", inFile)
			}
		})
	}
}

// TestFileOfAnOldClient reads a file of 2.x, and writes it without losing what it does not know.
func TestFileOfAnOldClient(t *testing.T) {
	asked := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	s, _ := testStore(t, `{"kind":"Config","apiVersion":"storage.loft.sh/v1","host":"https://old","insecure":true,
		"accesskey":"old-key","directClusterEndpointToken":"old-token","directClusterEndpointTokenRequested":"2026-05-01T12:00:00Z",
		"lastInstallContext":"kind-x","virtualClusterAccessPointCertificates":{"a":{"b":[1,2.50]}}}`)
	got, token, found, err := s.Token("eu")
	if err != nil || !found {
		t.Fatalf("token found: %t, %v", found, err)
	}
	if diff := cmp.Diff(Session{Host: "https://old", Insecure: true, AccessKey: "old-key"}, got); diff != "" {
		t.Errorf("session (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(Token{Secret: "old-token", Requested: asked, Expires: asked.Add(24 * time.Hour)}, token); diff != "" {
		t.Errorf("token (-want +got):\n%s", diff)
	}
	if err := s.SetPreviousContext(t.Context(), "before"); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"lastInstallContext": `"kind-x"`, "accesskey": `"old-key"`, "directClusterEndpointToken": `"old-token"`,
		"directClusterEndpointTokenRequested": `"2026-05-01T12:00:00Z"`, "previousContext": `"before"`,
	} {
		if string(members[name]) != want {
			t.Errorf("%s is %s, want %s", name, members[name], want)
		}
	}
	if !strings.Contains(string(members["virtualClusterAccessPointCertificates"]), "2.50") {
		t.Errorf("an unknown member is now %s", members["virtualClusterAccessPointCertificates"])
	}
	if info, _ := os.Stat(s.path); info.Mode() != 0o600 {
		t.Errorf("mode %s, want 0600", info.Mode())
	}
}

func TestUnreadableFileIsLeftAlone(t *testing.T) {
	for name, content := range map[string]string{
		"not JSON":          `{"host": "https://x", "accesskey": "SECRET`,
		"half an old write": `{"host": "https://x"}}`,
		"another type":      `{"host": 3}`,
		"another kind":      `{"kind":"Cluster","apiVersion":"storage.loft.sh/v1"}`,
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := testStore(t, content)
			_, err := s.Login(t.Context(), login, StorageFile)
			if err == nil || !strings.Contains(err.Error(), s.path) || strings.Contains(err.Error(), "SECRET") {
				t.Errorf("error %v, want one that names the file and not its content", err)
			}
			if data, _ := os.ReadFile(s.path); string(data) != content {
				t.Errorf("the file holds %q now", data)
			}
		})
	}
}

func TestNotLoggedIn(t *testing.T) {
	for name, content := range map[string]string{
		"no file":    "",
		"empty file": "\n",
		"no key":     `{"host":"https://x"}`,
		"no host":    `{"accesskey":"x"}`,
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := testStore(t, content)
			if _, err := s.Session(); failure.Code(err) != failure.CodeNotLoggedIn {
				t.Errorf("error %v, want one with code %d", err, failure.CodeNotLoggedIn)
			}
		})
	}
}

func TestTokens(t *testing.T) {
	for _, storage := range []Storage{StorageFile, StorageKeyring} {
		t.Run(string(storage), func(t *testing.T) {
			s, ring := testStore(t, "")
			if _, err := s.Login(t.Context(), login, storage); err != nil {
				t.Fatal(err)
			}
			now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
			want := Token{Secret: "token-eu", Requested: now, Expires: now.Add(time.Hour)}
			if err := s.SetToken(t.Context(), login, "eu", want); err != nil {
				t.Fatal(err)
			}
			_, got, found, err := s.Token("eu")
			if err != nil || !found {
				t.Fatalf("found %t, %v", found, err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("token (-want +got):\n%s", diff)
			}
			if _, _, found, _ := s.Token("us"); found {
				t.Error("a token for one cluster was found for another")
			}
			if err := s.Logout(t.Context()); err != nil {
				t.Fatal(err)
			}
			data, _ := os.ReadFile(s.path)
			if strings.Contains(string(data), "token-eu") || strings.Contains(string(data), login.AccessKey) || len(ring.secrets) > 0 {
				t.Errorf("secrets are left after a logout: %s, %v", data, ring.secrets)
			}
		})
	}
}

// TestTokenOfAnotherSession is asked for before a new login, and arrives after it.
func TestTokenOfAnotherSession(t *testing.T) {
	s, _ := testStore(t, "")
	other := login
	other.AccessKey = "another-key"
	if _, err := s.Login(t.Context(), other, StorageFile); err != nil {
		t.Fatal(err)
	}
	if err := s.SetToken(t.Context(), login, "eu", Token{Secret: "x", Expires: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if _, _, found, _ := s.Token("eu"); found {
		t.Error("a token of the session before is given to the one now")
	}
}

func TestManyWriters(t *testing.T) {
	s, _ := testStore(t, "")
	if _, err := s.Login(t.Context(), login, StorageFile); err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for i := range 20 {
		wait.Go(func() {
			cluster := fmt.Sprintf("c%d", i)
			if err := s.SetToken(context.Background(), login, cluster, Token{Secret: cluster, Expires: time.Now()}); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	for i := range 20 {
		if _, _, found, err := s.Token(fmt.Sprintf("c%d", i)); !found {
			t.Errorf("token %d was lost: %v", i, err)
		}
	}
}

func TestNewToken(t *testing.T) {
	asked := time.Unix(1_000, 0)
	tests := []struct {
		name    string
		secret  string
		expires time.Time
		want    time.Time
	}{
		{"its issuer says", "a.eyJleHAiOjQwMDB9.c", time.Unix(5_000, 0), time.Unix(5_000, 0)},
		{"it says itself", "a.eyJleHAiOjQwMDB9.c", time.Time{}, time.Unix(4_000, 0)},
		{"no JWT", "opaque", time.Time{}, asked.Add(24 * time.Hour)},
		{"a payload that is none", "a.b!.c", time.Time{}, asked.Add(24 * time.Hour)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := NewToken(tt.secret, asked, tt.expires).Expires; !got.Equal(tt.want) {
				t.Errorf("ends %s, want %s", got, tt.want)
			}
		})
	}
}
