package management

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
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

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/artifacts"
	"loft.sh/agent/generated/clientset/versioned"
	"loft.sh/agent/pkg/manager"
	"loft.sh/agent/pkg/manager/accesskey"
	"loft.sh/agent/pkg/manager/bootstrap"
	"loft.sh/agent/test/controlplane"
)

// environment is a central cluster with a manager, and people.
type environment struct {
	central       *controlplane.ControlPlane
	centralClient kubernetes.Interface
	// storage is an administrator's of the central cluster.
	storage versioned.Interface
	dir     string
	// url is the outer door.
	url, auditLog string
	// innerPort is where the aggregator reaches the manager, innerCA what it verifies it with.
	innerPort int32
	innerCA   []byte
	// keys are access keys by name of user.
	keys map[string]string

	cancel context.CancelFunc
	ended  chan error
}

func start(ctx context.Context) (*environment, error) {
	dir, err := os.MkdirTemp("", "management-")
	if err != nil {
		return nil, err
	}
	e := &environment{dir: dir, auditLog: filepath.Join(dir, "audit.log"), keys: map[string]string{}}
	if e.central, err = controlplane.Start(ctx, controlplane.Options{Name: "central", Log: os.Stderr}); err != nil {
		return nil, err
	}
	if err := e.prepare(ctx); err != nil {
		return nil, errors.Join(err, e.central.Stop())
	}
	if err := errors.Join(e.startManager(ctx), e.addPeople(ctx)); err != nil {
		return nil, errors.Join(err, e.stop())
	}
	return e, nil
}

// addPeople waits for the administrator that the manager makes, and adds users.
func (e *environment) addPeople(ctx context.Context) error {
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		secret, err := e.centralClient.CoreV1().Secrets("loft").Get(ctx, bootstrap.SecretName, metav1.GetOptions{})
		if err != nil {
			return false, nil //nolint:nilerr // not yet
		}
		e.keys["admin"] = string(secret.Data[bootstrap.SecretKey])
		_, err = e.storage.StorageV1().Users().Get(ctx, bootstrap.User, metav1.GetOptions{})
		return err == nil, nil
	})
	if err != nil {
		return fmt.Errorf("no administrator was made: %w", err)
	}
	for _, name := range []string{"alice", "bob"} {
		if err := e.addUser(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (e *environment) stop() error {
	var err error
	if e.cancel != nil {
		e.cancel()
		err = <-e.ended
	}
	return errors.Join(err, e.central.Stop(), os.RemoveAll(e.dir))
}

// prepare applies the manifests.
func (e *environment) prepare(ctx context.Context) error {
	var err error
	if e.centralClient, err = kubernetes.NewForConfig(e.central.RESTConfig()); err != nil {
		return err
	}
	if e.storage, err = versioned.NewForConfig(e.central.RESTConfig()); err != nil {
		return err
	}
	return e.applyManifests(ctx)
}

// addUser makes a user with an access key, which has the same name.
func (e *environment) addUser(ctx context.Context, name string) error {
	if _, err := e.storage.StorageV1().Users().Create(ctx, &storagev1.User{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       storagev1.UserSpec{DisplayName: "The " + name, Email: name + "@example.com"},
	}, metav1.CreateOptions{}); err != nil {
		return err
	}
	secret, hash := accesskey.New()
	e.keys[name] = secret
	_, err := e.storage.StorageV1().AccessKeys().Create(ctx, &storagev1.AccessKey{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       storagev1.AccessKeySpec{User: name, Key: hash, Type: storagev1.AccessKeyTypeLogin},
	}, metav1.CreateOptions{})
	return err
}

// applyManifests applies what the manager's manifests have, but for the APIService: nothing of the
// cluster reaches the manager.
func (e *environment) applyManifests(ctx context.Context) error {
	objects, err := artifacts.ManagerObjects()
	if err != nil {
		return err
	}
	client, err := dynamic.NewForConfig(e.central.RESTConfig())
	if err != nil {
		return err
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(e.centralClient.Discovery()))
	for _, object := range objects {
		switch object.GetKind() {
		case "CustomResourceDefinition", "Namespace", "ClusterRole", "ClusterRoleBinding", "ServiceAccount", "Role", "RoleBinding":
			if err := apply(ctx, client, mapper, object); err != nil {
				return fmt.Errorf("apply %s %q: %w", object.GetKind(), object.GetName(), err)
			}
		}
	}
	return wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		for _, list := range []func() error{
			func() error { _, err := e.storage.StorageV1().Users().List(ctx, metav1.ListOptions{}); return err },
			func() error { _, err := e.storage.StorageV1().AccessKeys().List(ctx, metav1.ListOptions{}); return err },
		} {
			if list() != nil {
				return false, nil
			}
		}
		return true, nil
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

// auditPolicy records everything.
const auditPolicy = `{"apiVersion":"audit.k8s.io/v1","kind":"Policy","rules":[{"level":"RequestResponse"}]}`

// startManager runs a manager in this process, as the service account that it has in a cluster.
func (e *environment) startManager(ctx context.Context) error {
	kubeconfig, err := e.managerKubeconfig(ctx)
	if err != nil {
		return err
	}
	o := manager.NewOptions()
	o.Kubeconfig = kubeconfig
	o.Audit.PolicyFile = filepath.Join(e.dir, "audit-policy.yaml")
	if err := os.WriteFile(o.Audit.PolicyFile, []byte(auditPolicy), 0o600); err != nil {
		return err
	}
	o.Audit.LogOptions.Path = e.auditLog
	o.Audit.LogOptions.BatchOptions.Mode = "blocking"
	o.BootstrapAdmin = true
	o.People.FailureBurst, o.People.FailureQPS = 5, 5
	o.Tokens.Issuer = "https://loft.example.com"
	o.ServerRun.ShutdownDelayDuration = 0
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	o.SecureServing.Listener, o.SecureServing.BindPort = inner, inner.Addr().(*net.TCPAddr).Port
	e.innerPort = int32(o.SecureServing.BindPort) //nolint:gosec // a port
	public, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	o.Public.Serving.Listener, o.Public.Serving.BindPort, o.Public.InsecurePort = public, public.Addr().(*net.TCPAddr).Port, 0
	e.url = "https://" + public.Addr().String()
	return e.runManager(ctx, o)
}

func (e *environment) runManager(ctx context.Context, o *manager.Options) error {
	if err := o.Complete(); err != nil {
		return err
	}
	if err := errors.Join(o.Validate()...); err != nil {
		return err
	}
	e.innerCA, _ = o.SecureServing.ServerCert.GeneratedCert.CurrentCertKeyContent()
	var running context.Context
	running, e.cancel = context.WithCancel(context.Background())
	e.ended = make(chan error, 1)
	config, err := manager.NewConfig(running, o)
	if err != nil {
		e.ended <- nil
		return err
	}
	server, err := config.Complete().New()
	if err != nil {
		e.ended <- nil
		return err
	}
	go func() { e.ended <- server.Run(running) }()
	return wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) {
		select {
		case err := <-e.ended:
			e.ended <- err
			return false, fmt.Errorf("the manager ended: %w", err)
		default:
			return get(e.url+"/readyz") == nil, nil
		}
	})
}

// managerKubeconfig is of the manager's service account.
func (e *environment) managerKubeconfig(ctx context.Context) (string, error) {
	token, err := e.central.ServiceAccountToken(ctx, "loft", "loft-manager", time.Hour)
	if err != nil {
		return "", err
	}
	file := filepath.Join(e.dir, "manager.kubeconfig")
	return file, writeKubeconfig(file, e.central.TokenConfig(token))
}

func writeKubeconfig(file string, config *rest.Config) error {
	var b bytes.Buffer
	content := map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "x",
		"contexts": []any{map[string]any{"name": "x", "context": map[string]any{"cluster": "x", "user": "x"}}},
		"clusters": []any{map[string]any{"name": "x", "cluster": map[string]any{"server": config.Host, "certificate-authority-data": config.CAData}}},
		"users":    []any{map[string]any{"name": "x", "user": map[string]any{"token": config.BearerToken}}},
	}
	if err := json.NewEncoder(&b).Encode(content); err != nil {
		return err
	}
	return os.WriteFile(file, b.Bytes(), 0o600)
}
