package integration

import (
	"io/fs"
	"os"
	"regexp"
	"testing"

	"loft.sh/agent/artifacts"
	"loft.sh/agent/pkg/agent"
)

func TestManifestArgsAreFlags(t *testing.T) {
	args, err := artifacts.AgentArgs()
	if err != nil {
		t.Fatal(err)
	}
	command := agent.NewCommand(t.Context())
	if err := command.ParseFlags(args); err != nil {
		t.Error(err)
	}
	if rest := command.Flags().Args(); len(rest) > 0 {
		t.Errorf("arguments that are no flags: %q", rest)
	}
}

// TestManifestCommentsNameFlags finds flags that a comment advises and the binary does not have.
func TestManifestCommentsNameFlags(t *testing.T) {
	files := os.DirFS("../../artifacts")
	names, err := fs.Glob(files, "*/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	flags := agent.NewCommand(t.Context()).Flags()
	// kubectl's flags stand in commands that begin on a line of their own.
	advised, foreign := regexp.MustCompile(`--([a-z][a-z-]*)`), regexp.MustCompile(`(?m)^#   kubectl (.*\\\n)*.*$`)
	found := 0
	for _, name := range names {
		content, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range advised.FindAllStringSubmatch(foreign.ReplaceAllString(string(content), ""), -1) {
			found++
			if flags.Lookup(match[1]) == nil {
				t.Errorf("%s names --%s, which the agent does not have", name, match[1])
			}
		}
	}
	if found == 0 {
		t.Error("no file names a flag")
	}
}
