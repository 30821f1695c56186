package tokens

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"

	"loft.sh/agent/artifacts"
	"loft.sh/agent/generated/clientset/versioned"
	"loft.sh/agent/test/controlplane"
)

const (
	// environmentURL and the rest tell a second start of this program to be a manager.
	environmentURL   = "TOKENS_TEST_URL"
	environmentCA    = "TOKENS_TEST_CA"
	environmentToken = "TOKENS_TEST_TOKEN"
)

var (
	// central is the central cluster of all tests.
	central *controlplane.ControlPlane
	// admin and storage are an administrator's clients.
	admin   kubernetes.Interface
	storage versioned.Interface
	// managerConfig is what the manager's manifests give to its service account.
	managerConfig *rest.Config
)

func TestMain(m *testing.M) {
	if url := os.Getenv(environmentURL); url != "" {
		config := &rest.Config{Host: url, BearerToken: os.Getenv(environmentToken), QPS: -1}
		config.CAFile = os.Getenv(environmentCA)
		beManager(config)
		return
	}
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if central, err = controlplane.Start(ctx, controlplane.Options{Name: "tokens", Log: os.Stderr}); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, central.Stop()) }()
	if err := prepare(ctx); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// prepare applies the manager's manifests, but for what needs a manager that can be reached.
func prepare(ctx context.Context) error {
	config := central.RESTConfig()
	var err error
	if admin, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	if storage, err = versioned.NewForConfig(config); err != nil {
		return err
	}
	objects, err := artifacts.ManagerObjects()
	if err != nil {
		return err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(admin.Discovery()))
	for _, object := range objects {
		switch object.GetKind() {
		case "CustomResourceDefinition", "Namespace", "ClusterRole", "ClusterRoleBinding", "ServiceAccount", "Role", "RoleBinding":
			if err := apply(ctx, client, mapper, object); err != nil {
				return fmt.Errorf("apply %s %q: %w", object.GetKind(), object.GetName(), err)
			}
		}
	}
	token, err := central.ServiceAccountToken(ctx, "loft", "loft-manager", time.Hour)
	if err != nil {
		return err
	}
	managerConfig = central.TokenConfig(token)
	return wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		_, users := storage.StorageV1().Users().List(ctx, metav1.ListOptions{})
		_, accesses := storage.StorageV1().ClusterAccesses().List(ctx, metav1.ListOptions{})
		return errors.Join(users, accesses) == nil, nil
	})
}

func apply(ctx context.Context, client dynamic.Interface, mapper *restmapper.DeferredDiscoveryRESTMapper, object *unstructured.Unstructured) error {
	kind := object.GroupVersionKind()
	mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return err
	}
	content, err := json.Marshal(object)
	if err != nil {
		return err
	}
	_, err = client.Resource(mapping.Resource).Namespace(object.GetNamespace()).Patch(ctx, object.GetName(), types.ApplyPatchType, content,
		metav1.PatchOptions{FieldManager: "test", FieldValidation: metav1.FieldValidationStrict})
	return err
}
