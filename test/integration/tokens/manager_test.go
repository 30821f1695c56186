package tokens

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"loft.sh/agent/generated/clientset/versioned"
	"loft.sh/agent/generated/informers/externalversions"
	"loft.sh/agent/pkg/manager/access"
	"loft.sh/agent/pkg/manager/tokens"
)

// newManager makes a manager's part that is about tokens, and what must run for it.
func newManager(config *rest.Config) (*tokens.Service, func(context.Context), error) {
	centralClient, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, nil, err
	}
	storageClient, err := versioned.NewForConfig(config)
	if err != nil {
		return nil, nil, err
	}
	informers := externalversions.NewSharedInformerFactory(storageClient, 0)
	directory, err := access.NewDirectory(informers.Storage().V1())
	if err != nil {
		return nil, nil, err
	}
	nobody := authorizer.AuthorizerFunc(func(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
		return authorizer.DecisionNoOpinion, "", nil
	})
	options := tokens.NewOptions()
	options.Issuer = "https://loft.example.com"
	service, err := tokens.New(tokens.Config{
		Options: *options, Client: centralClient, Namespace: "loft",
		Policy: &access.Policy{Directory: directory, Authorizer: nobody},
	})
	if err != nil {
		return nil, nil, err
	}
	return service, func(ctx context.Context) {
		informers.StartWithContext(ctx)
		service.Run(ctx)
		informers.Shutdown()
	}, nil
}

// startManager runs a manager in this process until the test ends. Every one of them leads: nothing here
// keeps a second leader out, as nothing does while a lease changes hands.
func startManager(t *testing.T) *tokens.Service {
	t.Helper()
	service, run, err := newManager(managerConfig)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{}, 2)
	go func() { run(ctx); done <- struct{}{} }()
	go func() { service.Lead(ctx); done <- struct{}{} }()
	t.Cleanup(func() { stop(); <-done; <-done })
	return service
}

// beManager leads until somebody kills it, and says so when it has keys.
func beManager(config *rest.Config) {
	service, run, err := newManager(config)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	ctx := context.Background()
	go run(ctx)
	go func() {
		_ = wait.PollUntilContextCancel(ctx, time.Millisecond, true, func(context.Context) (bool, error) {
			_, err := service.Keys.Ring()
			return err == nil, nil
		})
		fmt.Println("leading")
	}()
	service.Lead(ctx)
}

// spawnManager starts this program as a manager of its own, and returns when it leads.
func spawnManager(t *testing.T) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), program)
	command.Stderr = os.Stderr
	command.Env = append(os.Environ(), environmentURL+"="+managerConfig.Host, environmentCA+"="+central.CAFile(), environmentToken+"="+managerConfig.BearerToken)
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kill(command) })
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("manager said %q: %v", line, err)
	}
	return command
}

// kill gives a manager no moment more.
func kill(manager *exec.Cmd) {
	_ = manager.Process.Kill()
	_ = manager.Wait()
}

// await waits until try succeeds, and says how long that took.
func await(t *testing.T, what string, try func() error) time.Duration {
	t.Helper()
	begun := time.Now()
	var last error
	for time.Since(begun) < 30*time.Second {
		if last = try(); last == nil {
			return time.Since(begun)
		}
		select {
		case <-t.Context().Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	t.Fatalf("%s: %v", what, last)
	return 0
}
