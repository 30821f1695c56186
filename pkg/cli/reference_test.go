package cli_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"loft.sh/agent/pkg/cli"
	"loft.sh/agent/pkg/cli/console"
)

const reference = "../../docs/reference.md"

const referenceHead = `# Commands

Generated from the program (` + "`make generate`" + `). Data goes to standard output and words to standard
error. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not logged in, 4 timed out.

`

// TestReference holds docs/reference.md to the program; UPDATE_REFERENCE=1 writes it.
func TestReference(t *testing.T) {
	var want bytes.Buffer
	want.WriteString(referenceHead)
	root := cli.NewCommand(&console.Console{})
	root.InitDefaultCompletionCmd()
	if err := describe(&want, root); err != nil {
		t.Fatal(err)
	}
	if os.Getenv("UPDATE_REFERENCE") != "" {
		if err := os.WriteFile(reference, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.String(), string(got)); diff != "" {
		t.Errorf("docs/reference.md is out of date: run make generate (-want +got):\n%s", diff)
	}
}

// describe writes a command and those below it, a level of headings deep.
func describe(w *bytes.Buffer, cmd *cobra.Command) error {
	cmd.DisableAutoGenTag = true
	if cmd.Runnable() || cmd.HasParent() {
		var one bytes.Buffer
		if err := doc.GenMarkdownCustom(cmd, &one, anchor); err != nil {
			return fmt.Errorf("%s: %w", cmd.CommandPath(), err)
		}
		body, _, _ := strings.Cut(one.String(), "### SEE ALSO")
		body, _, _ = strings.Cut(body, "### Options inherited from parent commands")
		w.WriteString(strings.TrimSpace(body) + "\n\n")
	}
	for _, sub := range cmd.Commands() {
		// The shells' completion scripts speak for themselves.
		if !sub.IsAvailableCommand() || sub.Name() == "help" || cmd.Name() == "completion" {
			continue
		}
		if err := describe(w, sub); err != nil {
			return err
		}
	}
	return nil
}

func anchor(file string) string {
	return "#" + strings.ReplaceAll(strings.TrimSuffix(file, ".md"), "_", "-")
}

// TestHelp has every command say what it is for, and show how it is used.
func TestHelp(t *testing.T) {
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		if cmd.Name() == "completion" || cmd.Name() == "help" {
			return
		}
		if cmd.Short == "" || !strings.Contains(cmd.Example, "loft ") && cmd.Name() != "loft" {
			t.Errorf("%s: says what it is for with %q and shows %q", cmd.CommandPath(), cmd.Short, cmd.Example)
		}
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(cli.NewCommand(&console.Console{}))
}
