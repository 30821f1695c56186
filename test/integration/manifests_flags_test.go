package integration

import (
	"context"
	"io/fs"
	"os"
	"path"
	"regexp"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	appsv1 "k8s.io/api/apps/v1"
	cliflag "k8s.io/component-base/cli/flag"
	"sigs.k8s.io/yaml"

	"loft.sh/agent/artifacts"
	"loft.sh/agent/pkg/agent"
	"loft.sh/agent/pkg/manager"
)

// program is what a Deployment runs.
type program struct {
	folder  string
	args    func() ([]string, error)
	command func(context.Context) *cobra.Command
	// bound is how long it may take to end with the flags given.
	bound func(t *testing.T, args []string) time.Duration
}

var programs = []program{
	{"agent", artifacts.AgentArgs, agent.NewCommand, func(t *testing.T, args []string) time.Duration {
		options := agent.NewOptions()
		parse(t, options.Flags(), args)
		return options.ShutdownBound()
	}},
	{"manager", artifacts.ManagerArgs, manager.NewCommand, func(t *testing.T, args []string) time.Duration {
		options := manager.NewOptions()
		parse(t, options.Flags(), args)
		return options.ShutdownBound()
	}},
}

func parse(t *testing.T, sets cliflag.NamedFlagSets, args []string) {
	t.Helper()
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	for _, set := range sets.FlagSets {
		flags.AddFlagSet(set)
	}
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
}

func TestManifestArgsAreFlags(t *testing.T) {
	for _, p := range programs {
		args, err := p.args()
		if err != nil {
			t.Fatal(err)
		}
		command := p.command(t.Context())
		if err := command.ParseFlags(args); err != nil {
			t.Errorf("%s: %v", p.folder, err)
		}
		if rest := command.Flags().Args(); len(rest) > 0 {
			t.Errorf("%s: arguments that are no flags: %q", p.folder, rest)
		}
	}
}

// TestManifestCommentsNameFlags finds flags that a comment advises and the binary does not have.
func TestManifestCommentsNameFlags(t *testing.T) {
	files := os.DirFS("../../artifacts")
	names, err := fs.Glob(files, "*/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	flags := map[string]*pflag.FlagSet{}
	for _, p := range programs {
		flags[p.folder] = p.command(t.Context()).Flags()
	}
	// kubectl's flags stand in commands that begin on a line of their own.
	advised, foreign := regexp.MustCompile(`--([a-z][a-z-]*)`), regexp.MustCompile(`(?m)^#   kubectl (.*\\\n)*.*$`)
	found := map[string]int{}
	for _, name := range names {
		content, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		// What is in no folder of a program is about the agent.
		folder := path.Dir(name)
		if flags[folder] == nil {
			folder = "agent"
		}
		for _, match := range advised.FindAllStringSubmatch(foreign.ReplaceAllString(string(content), ""), -1) {
			found[folder]++
			if flags[folder].Lookup(match[1]) == nil {
				t.Errorf("%s names --%s, which the %s does not have", name, match[1], folder)
			}
		}
	}
	if len(found) != len(programs) {
		t.Errorf("flags found by folder: %v, want some for each program", found)
	}
}

// TestManifestGraceIsEnough compares what the kubelet waits with what the program may take.
func TestManifestGraceIsEnough(t *testing.T) {
	for _, p := range programs {
		args, err := p.args()
		if err != nil {
			t.Fatal(err)
		}
		manifest, err := os.ReadFile(path.Join("../../artifacts", p.folder, "deployment.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		var deployment appsv1.Deployment
		if err := yaml.Unmarshal(manifest, &deployment); err != nil {
			t.Fatal(err)
		}
		pod := deployment.Spec.Template.Spec
		if grace, bound := time.Duration(*pod.TerminationGracePeriodSeconds)*time.Second, p.bound(t, args); grace <= bound {
			t.Errorf("%s: the pod is killed after %s, it may take %s", p.folder, grace, bound)
		}
	}
}
