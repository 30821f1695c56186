package central

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/artifacts"
	"loft.sh/agent/pkg/manager/installer"
	"loft.sh/agent/test/controlplane"
	"loft.sh/agent/test/sandbox"
)

const (
	tokenSecret   = "loft-connect-token"
	kubeconfigKey = "config"
	// connectTimeout bounds how long a cluster may take to be as the manager wants it.
	connectTimeout = 2 * time.Minute
)

// startCluster starts a connected cluster and gives the manager an account in it.
func (c *Central) startCluster(ctx context.Context, opts ClusterOptions) error {
	s, err := sandbox.StartBare(ctx, sandbox.Options{
		Dir: c.path("clusters", opts.Name), Name: opts.Name, Nodes: opts.Nodes,
		AgentBinary: c.agentBinary(), AgentArgs: c.opts.AgentArgs,
		APIServerArgs: c.opts.APIServerArgs, Log: c.opts.Log,
	})
	if err != nil {
		return err
	}
	c.lock.Lock()
	c.connected[opts.Name] = s
	c.lock.Unlock()
	objects, err := artifacts.ConnectObjects()
	if err != nil {
		return err
	}
	if c.opts.OpenEndpoints {
		objects = append(objects, endpointUsers())
	}
	return sandbox.Apply(ctx, s.Cluster().RESTConfig(), objects)
}

// connect makes the manager know the cluster, starts the agent once the manager has installed it, and
// waits until the manager is content.
func (c *Central) connect(ctx context.Context, name string) error {
	if err := c.opts.Connect(ctx, c, name); err != nil {
		return err
	}
	if err := c.connected[name].StartAgent(ctx); err != nil {
		return errors.Join(err, c.describe(ctx, name))
	}
	return c.AwaitConditions(ctx, name, storagev1.ConditionConnected, storagev1.ConditionAgentDeployed,
		storagev1.ConditionAgentReady, storagev1.ConditionTrustBundleSynced, storagev1.ConditionAccessSynced,
		storagev1.ConditionDirectEndpointReachable)
}

// announce makes the Cluster and the Secret that it names.
func (c *Central) announce(ctx context.Context, name string) error {
	kubeconfig, err := c.ManagerKubeconfig(ctx, name)
	if err != nil {
		return err
	}
	if err := c.StoreKubeconfig(ctx, name, kubeconfig); err != nil {
		return err
	}
	annotations, err := c.EndpointAnnotations(name)
	if err != nil {
		return err
	}
	cluster := &storagev1.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: annotations},
		Spec: storagev1.ClusterSpec{
			DisplayName: strings.ToUpper(name), Config: storagev1.SecretRef{SecretName: KubeconfigSecret(name)},
		},
	}
	if _, err := c.storage.Clusters().Create(ctx, cluster, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("cluster %q: %w", name, err)
	}
	return nil
}

// endpointUsers binds everybody to the role of those who may use the endpoint.
func endpointUsers() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": rbacv1.SchemeGroupVersion.String(), "kind": "ClusterRoleBinding",
		"metadata": map[string]any{"name": "sandbox-endpoint-users"},
		"roleRef":  map[string]any{"apiGroup": rbacv1.GroupName, "kind": "ClusterRole", "name": installer.EndpointUserRole},
		"subjects": []any{map[string]any{"apiGroup": rbacv1.GroupName, "kind": rbacv1.GroupKind, "name": "loft:authenticated"}},
	}}
}

// EndpointAnnotations are those that say where the agent of a connected cluster is reached.
func (c *Central) EndpointAnnotations(name string) (map[string]string, error) {
	s := c.connected[name]
	ca, err := os.ReadFile(s.EndpointCA())
	if err != nil {
		return nil, fmt.Errorf("endpoint's CA: %w", err)
	}
	return map[string]string{
		storagev1.AnnotationDirectEndpoint:       s.EndpointURL(),
		storagev1.AnnotationDirectEndpointCAData: base64.StdEncoding.EncodeToString(ca),
	}, nil
}

// MoveCluster has the manager reach a connected cluster's API server at another URL.
func (c *Central) MoveCluster(ctx context.Context, name, server string) error {
	kubeconfig, err := c.managerKubeconfig(ctx, name, server)
	if err != nil {
		return err
	}
	return c.StoreKubeconfig(ctx, name, kubeconfig)
}

// ManagerKubeconfig is a kubeconfig of the manager's account in a connected cluster.
func (c *Central) ManagerKubeconfig(ctx context.Context, name string) ([]byte, error) {
	return c.managerKubeconfig(ctx, name, c.connected[name].Cluster().URL())
}

func (c *Central) managerKubeconfig(ctx context.Context, name, server string) ([]byte, error) {
	cluster := c.connected[name].Cluster()
	client, err := kubernetes.NewForConfig(cluster.RESTConfig())
	if err != nil {
		return nil, fmt.Errorf("client of cluster %q: %w", name, err)
	}
	var token []byte
	err = wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		secret, err := client.CoreV1().Secrets(namespace).Get(ctx, tokenSecret, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		token = secret.Data[corev1.ServiceAccountTokenKey]
		return len(token) > 0, nil
	})
	if err != nil {
		return nil, fmt.Errorf("token of the manager in cluster %q: %w", name, err)
	}
	config := cluster.TokenConfig(string(token))
	config.Host = server
	path := c.path("clusters", name, "manager.kubeconfig")
	if err := controlplane.WriteKubeconfig(path, name, config); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// KubeconfigSecret is the name of the Secret with the kubeconfig of a connected cluster.
func KubeconfigSecret(cluster string) string { return "cluster-" + cluster }

// StoreKubeconfig puts a kubeconfig, which may be a bad one, where the manager reads it.
func (c *Central) StoreKubeconfig(ctx context.Context, cluster string, kubeconfig []byte) error {
	client, err := kubernetes.NewForConfig(c.cluster.RESTConfig())
	if err != nil {
		return fmt.Errorf("client of the central cluster: %w", err)
	}
	secret := applycorev1.Secret(KubeconfigSecret(cluster), namespace).WithData(map[string][]byte{kubeconfigKey: kubeconfig})
	_, err = client.CoreV1().Secrets(namespace).Apply(ctx, secret, metav1.ApplyOptions{FieldManager: "sandbox", Force: true})
	if err != nil {
		return fmt.Errorf("kubeconfig of cluster %q: %w", cluster, err)
	}
	return nil
}

// AwaitConditions waits until the conditions of a Cluster are true for its newest generation.
func (c *Central) AwaitConditions(ctx context.Context, name string, types ...string) error {
	err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, connectTimeout, true, func(ctx context.Context) (bool, error) {
		cluster, err := c.storage.Clusters().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		for _, wanted := range types {
			condition := meta.FindStatusCondition(cluster.Status.Conditions, wanted)
			if condition == nil || condition.Status != metav1.ConditionTrue || condition.ObservedGeneration != cluster.Generation {
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil {
		return errors.Join(fmt.Errorf("cluster %q: %w", name, err), c.describe(ctx, name))
	}
	return nil
}

// describe is an error that says what is wrong with a Cluster as far as the manager knows.
func (c *Central) describe(ctx context.Context, name string) error {
	cluster, err := c.storage.Clusters().Get(context.WithoutCancel(ctx), name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, condition := range cluster.Status.Conditions {
		fmt.Fprintf(&b, "\n%s=%s %s: %s", condition.Type, condition.Status, condition.Reason, condition.Message)
	}
	return fmt.Errorf("conditions of cluster %q:%s\nend of the manager's log:\n%s", name, &b, c.managers[0].process.Tail(30))
}
