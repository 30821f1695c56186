package integration

import (
	"io/fs"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/spf13/pflag"
	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/yaml"

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

// TestManifestGraceIsEnough compares what the kubelet waits with what the agent may take.
func TestManifestGraceIsEnough(t *testing.T) {
	args, err := artifacts.AgentArgs()
	if err != nil {
		t.Fatal(err)
	}
	options := agent.NewOptions()
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	for _, set := range options.Flags().FlagSets {
		flags.AddFlagSet(set)
	}
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	manifest, err := os.ReadFile("../../artifacts/agent/deployment.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var deployment appsv1.Deployment
	if err := yaml.Unmarshal(manifest, &deployment); err != nil {
		t.Fatal(err)
	}
	pod := deployment.Spec.Template.Spec
	if grace := time.Duration(*pod.TerminationGracePeriodSeconds) * time.Second; grace <= options.ShutdownBound() {
		t.Errorf("the pod is killed after %s, the agent may take %s", grace, options.ShutdownBound())
	}
}
