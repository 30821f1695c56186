package kubeconfig

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/tools/clientcmd"
)

const commented = `# Managed by hand.
apiVersion: v1
kind: Config
unknown: {kept: true}
users: # people
  - name: zoe # last comes first
    user:
      token: abc

  # in between
  - name: adam
    user: {token: def}
current-context: theirs   # the usual
contexts:
- context:
    cluster: theirs
    user: zoe
  name: theirs
# before clusters
clusters:
- cluster:
    certificate-authority-data: >-
      UEVN
    server: https://theirs
  name: theirs
# at the end
`

// TestForeignLinesSurvive adds, replaces and removes an entry, and compares the lines that are not
// ours byte by byte.
func TestForeignLinesSurvive(t *testing.T) {
	for name, content := range map[string]string{
		"with comments":       commented,
		"without end of line": strings.TrimSuffix(commented, "\n"),
		"one of each":         foreignConfig,
	} {
		t.Run(name, func(t *testing.T) {
			files := layout{{content, 0o600}}.make(t)
			for _, server := range []string{"https://one", "https://two"} {
				e := entry("loft_eu")
				e.Server = server
				if _, err := files.Apply(t.Context(), e, true); err != nil {
					t.Fatal(err)
				}
			}
			after := contents(t, files)[0]
			for line := range strings.Lines(content) {
				if !strings.Contains(line, "current-context") && !strings.Contains(after, strings.TrimSuffix(line, "\n")+"\n") {
					t.Errorf("the line %q is gone:\n%s", line, after)
				}
			}
			if err := files.Remove(t.Context(), "loft_eu"); err != nil {
				t.Fatal(err)
			}
			if _, err := files.Use(t.Context(), "theirs"); err != nil {
				t.Fatal(err)
			}
			want := strings.TrimSuffix(strings.Replace(content, "theirs   # the", "theirs # the", 1), "\n") + "\n"
			if diff := cmp.Diff(want, contents(t, files)[0]); diff != "" {
				t.Errorf("after adding and removing (-before +after):\n%s", diff)
			}
		})
	}
}

// TestOtherShapes has files that cannot be edited line by line: what they say survives.
func TestOtherShapes(t *testing.T) {
	for name, content := range map[string]string{
		"JSON":            `{"apiVersion":"v1","kind":"Config","clusters":[{"name":"theirs","cluster":{"server":"https://theirs"}}]}`,
		"flow lists":      "clusters: [{name: theirs, cluster: {server: 'https://theirs'}}]\n",
		"dash alone":      "clusters:\n-\n  name: theirs\n  cluster: {server: 'https://theirs'}\n",
		"empty lists":     "clusters:\n- name: theirs\n  cluster: {server: 'https://theirs'}\nusers: []\ncontexts: null\n",
		"current on next": "current-context:\n  theirs\nclusters:\n- name: theirs\n  cluster: {server: 'https://theirs'}\n",
		"anchors":         "clusters:\n- name: theirs\n  cluster: &c {server: 'https://theirs'}\n- name: more\n  cluster: *c\n",
		"tabs at the end": "clusters:\n- name: theirs\n  cluster: {server: 'https://theirs'}\t\n",
		"windows":         "clusters:\r\n- name: theirs\r\n  cluster: {server: 'https://theirs'}\r\nusers:\r\n- name: u\r\n  user: {token: x}\r\n",
		"document start":  "---\nclusters:\n- name: theirs\n  cluster: {server: 'https://theirs'}\n",
		"document end":    "clusters:\n- name: theirs\n  cluster: {server: 'https://theirs'}\n...\n",
	} {
		t.Run(name, func(t *testing.T) {
			files := layout{{content, 0o600}}.make(t)
			if _, err := files.Apply(t.Context(), entry("loft_eu"), true); err != nil {
				t.Fatal(err)
			}
			assertEffective(t, files, true)
			got, err := clientcmd.LoadFromFile(files.paths[0])
			if err != nil || got.Clusters["theirs"] == nil || got.Clusters["theirs"].Server != "https://theirs" {
				data, _ := os.ReadFile(files.paths[0])
				t.Errorf("what was there is gone: %v\n%s", err, data)
			}
		})
	}
}
