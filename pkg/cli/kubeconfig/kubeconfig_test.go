package kubeconfig

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/tools/clientcmd"
)

func entry(name string) Entry {
	return Entry{
		Name: name, Server: "https://endpoint/kubernetes/cluster", CAData: []byte("PEM"),
		Exec: Exec{Command: "/usr/bin/loft", Args: []string{"token", "--silent", "--config", "/c.json"}},
	}
}

const foreignConfig = `apiVersion: v1
kind: Config
current-context: theirs
clusters:
- name: theirs
  cluster: {server: https://theirs}
users:
- name: theirs
  user: {token: abc}
contexts:
- name: theirs
  context: {cluster: theirs, user: theirs, namespace: x}
`

// layout makes files in a directory, and gives their modes; a content of "" is no file.
type layout []struct {
	content string
	mode    fs.FileMode
}

func (l layout) make(t *testing.T) Files {
	t.Helper()
	dir := t.TempDir()
	var files Files
	for i, f := range l {
		path := filepath.Join(dir, string(rune('a'+i)))
		files.paths = append(files.paths, path)
		if f.content == "" {
			continue
		}
		if err := os.WriteFile(path, []byte(f.content), f.mode); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func rendered(t *testing.T, e Entry) string {
	t.Helper()
	data, err := Render(e)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestApply(t *testing.T) {
	ours := rendered(t, entry("loft_eu"))
	other := entry("loft_eu")
	other.Server = "https://another"
	stale := rendered(t, other)
	noCurrent := strings.Replace(foreignConfig, "current-context: theirs\n", "", 1)
	tests := []struct {
		name    string
		layout  layout
		current bool
		// want are the files, by letter, that have the entry and that set it as the current context.
		want, wantCurrent string
		wantErr           string
	}{
		{"no file", layout{{"", 0}}, true, "a", "a", ""},
		{"no file, none current", layout{{"", 0}}, false, "a", "", ""},
		{"none of several: the last, as kubectl", layout{{"", 0}, {"", 0}}, true, "b", "b", ""},
		{"the first that is there", layout{{"", 0}, {foreignConfig, 0o600}, {foreignConfig, 0o600}}, true, "b", "b", ""},
		{"read-only first, with another current context", layout{{foreignConfig, 0o400}, {noCurrent, 0o600}}, true, "", "", "read-only and sets it"},
		{"the same without becoming current", layout{{foreignConfig, 0o400}, {noCurrent, 0o600}}, false, "b", "", ""},
		{"read-only first, without current context", layout{{noCurrent, 0o400}, {noCurrent, 0o600}}, true, "b", "b", ""},
		{"read-only second, with current context", layout{{noCurrent, 0o600}, {foreignConfig, 0o400}}, true, "a", "a", ""},
		{"where the entry is", layout{{noCurrent, 0o600}, {stale, 0o600}}, true, "b", "b", ""},
		{"read-only with the same entry", layout{{ours, 0o400}, {noCurrent, 0o600}}, true, "", "", ""},
		{"read-only with another entry", layout{{stale, 0o400}, {noCurrent, 0o600}}, true, "", "", "read-only and has another context"},
		{"read-only with another entry, after one that can be written", layout{{noCurrent, 0o600}, {stale, 0o400}}, true, "a", "", ""},
		{"all read-only", layout{{noCurrent, 0o400}}, true, "", "", "no kubeconfig can be written"},
		{"read-only and one to be made", layout{{noCurrent, 0o400}, {"", 0}}, true, "b", "b", ""},
		{"one that is none", layout{{noCurrent, 0o600}, {"clusters: [", 0o600}}, true, "", "", "cannot be parsed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			files := tt.layout.make(t)
			before := contents(t, files)
			_, err := files.Apply(t.Context(), entry("loft_eu"), tt.current)
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
					t.Fatalf("error %v, want %q", err, tt.wantErr)
				}
				if diff := cmp.Diff(before, contents(t, files)); diff != "" {
					t.Errorf("written all the same (-before +after):\n%s", diff)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var changed, current string
			for i, content := range contents(t, files) {
				if content == before[i] {
					continue
				}
				config, err := clientcmd.Load([]byte(content))
				if err != nil {
					t.Fatal(err)
				}
				letter := filepath.Base(files.paths[i])
				if has(config, "loft_eu") {
					changed += letter
				}
				if config.CurrentContext == "loft_eu" {
					current += letter
				}
			}
			if changed != tt.want || current != tt.wantCurrent {
				t.Errorf("written to %q, current in %q; want %q and %q", changed, current, tt.want, tt.wantCurrent)
			}
			assertEffective(t, files, tt.current)
		})
	}
}

// assertEffective reads the files as kubectl does.
func assertEffective(t *testing.T, files Files, current bool) {
	t.Helper()
	merged, err := (&clientcmd.ClientConfigLoadingRules{Precedence: files.paths}).Load()
	if err != nil {
		t.Fatal(err)
	}
	if !same(merged, entry("loft_eu")) {
		t.Errorf("kubectl would not read the entry: %+v", merged.Clusters["loft_eu"])
	}
	if current && merged.CurrentContext != "loft_eu" {
		t.Errorf("kubectl's current context would be %q", merged.CurrentContext)
	}
}

func contents(t *testing.T, files Files) []string {
	t.Helper()
	var all []string
	for _, path := range files.paths {
		data, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		all = append(all, string(data))
	}
	return all
}

// TestForeignStanzas shares a name with what others wrote.
func TestForeignStanzas(t *testing.T) {
	for name, content := range map[string]string{
		"user":    "users:\n- name: prod\n  user: {token: x}\n",
		"context": "contexts:\n- name: prod\n  context: {cluster: a, user: b}\n",
		"cluster": "clusters:\n- name: prod\n  cluster: {server: https://x}\n",
		"another program": "users:\n- name: prod\n  user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: aws, args: [eks, get-token]}}\n" +
			"contexts:\n- name: prod\n  context: {cluster: prod, user: prod}\n",
	} {
		t.Run(name, func(t *testing.T) {
			files := layout{{content, 0o600}}.make(t)
			if _, err := files.Apply(t.Context(), entry("prod"), true); err == nil || !strings.Contains(err.Error(), "--context-name") {
				t.Errorf("error %v, want one that names --context-name", err)
			}
			if got := contents(t, files)[0]; got != content {
				t.Errorf("the file is now %q", got)
			}
		})
	}
}

func TestOthersSurvive(t *testing.T) {
	files := layout{{foreignConfig, 0o640}}.make(t)
	previous, err := files.Apply(t.Context(), entry("loft_eu"), true)
	if err != nil || previous != "theirs" {
		t.Fatalf("previous %q, %v", previous, err)
	}
	if err := files.Remove(t.Context(), "loft_eu"); err != nil {
		t.Fatal(err)
	}
	if _, err := files.Use(t.Context(), "theirs"); err != nil {
		t.Fatal(err)
	}
	want, err := clientcmd.Load([]byte(foreignConfig))
	if err != nil {
		t.Fatal(err)
	}
	got, err := clientcmd.LoadFromFile(files.paths[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, cluster := range got.Clusters {
		cluster.LocationOfOrigin = ""
	}
	for _, user := range got.AuthInfos {
		user.LocationOfOrigin = ""
	}
	for _, context := range got.Contexts {
		context.LocationOfOrigin = ""
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("config (-before +after):\n%s", diff)
	}
	if info, _ := os.Stat(files.paths[0]); info.Mode() != 0o640 {
		t.Errorf("mode %s, want 0640 as before", info.Mode())
	}
	if _, err := files.Use(t.Context(), "loft_eu"); err == nil {
		t.Error("a context that is gone was made the current one")
	}
}

func TestLinks(t *testing.T) {
	dir := t.TempDir()
	real := filepath.Join(dir, "real")
	if err := os.WriteFile(real, []byte(foreignConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	link, toNothing := filepath.Join(dir, "link"), filepath.Join(dir, "dangling")
	for path, to := range map[string]string{link: "real", toNothing: "made/by/us"} {
		if err := os.Symlink(to, path); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{link, toNothing} {
		// The same file by two names is one file.
		files := Files{paths: []string{path, path}}
		if _, err := files.Apply(t.Context(), entry("loft_eu"), true); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Lstat(path); err != nil || info.Mode()&fs.ModeSymlink == 0 {
			t.Errorf("%s is no link any more: %v", path, err)
		}
		assertEffective(t, files, true)
	}
	if info, _ := os.Stat(toNothing); info.Mode() != 0o600 {
		t.Errorf("a new file has mode %s, want 0600", info.Mode())
	}
}

func TestKubectlsLock(t *testing.T) {
	target := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(target+".lock", nil, 0); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := awaitKubectl(ctx, target, time.Now); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a lock that is held was not waited for: %v", err)
	}
	later := func() time.Time { return time.Now().Add(staleAfter + time.Second) }
	if err := awaitKubectl(t.Context(), target, later); err != nil {
		t.Errorf("a lock that was left is waited for: %v", err)
	}
	if _, err := os.Stat(target + ".lock"); err != nil {
		t.Errorf("kubectl's lock was touched: %v", err)
	}
}

// TestWriterWithoutLock has kubectl write while an entry is on its way.
func TestWriterWithoutLock(t *testing.T) {
	files := layout{{foreignConfig, 0o600}}.make(t)
	writes := 0
	_, err := files.change(t.Context(), func(read []*kubefile) ([]*kubefile, error) {
		if writes++; writes == 1 {
			other := strings.Replace(foreignConfig, "namespace: x", "namespace: later", 1)
			if err := os.WriteFile(files.paths[0], []byte(other), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return place(read, entry("loft_eu"))
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := clientcmd.LoadFromFile(files.paths[0])
	if err != nil {
		t.Fatal(err)
	}
	if got.Contexts["theirs"].Namespace != "later" || !has(got, "loft_eu") || writes != 2 {
		t.Errorf("after %d readings: namespace %q, entry there: %t", writes, got.Contexts["theirs"].Namespace, has(got, "loft_eu"))
	}
}

func TestRender(t *testing.T) {
	want := `apiVersion: v1
clusters:
- cluster:
    insecure-skip-tls-verify: true
    server: https://endpoint/kubernetes/cluster
  name: loft_eu
contexts:
- context:
    cluster: loft_eu
    namespace: team-a
    user: loft_eu
  name: loft_eu
current-context: loft_eu
kind: Config
users:
- name: loft_eu
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      args:
      - token
      - --silent
      - --config
      - /c.json
      command: /usr/bin/loft
      env: null
      installHint: Install loft where this context expects it, or write the context
        again with loft use.
      interactiveMode: IfAvailable
      provideClusterInfo: false
`
	e := entry("loft_eu")
	e.CAData, e.Insecure, e.Namespace = nil, true, "team-a"
	if diff := cmp.Diff(want, rendered(t, e)); diff != "" {
		t.Errorf("kubeconfig (-want +got):\n%s", diff)
	}
}
