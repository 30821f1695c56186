package clusters

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/pkg/manager/bindings"
	"loft.sh/agent/pkg/manager/connection"
	"loft.sh/agent/pkg/manager/hosts"
	"loft.sh/agent/pkg/manager/installer"
	"loft.sh/agent/pkg/manager/netfault"
)

var apiServices = schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}

// TestLifeOfACluster goes from connecting to deleting, with the rights that a manager is given.
func TestLifeOfACluster(t *testing.T) {
	trust := newBundles(t)
	runController(t, trust)
	setKubeconfig(t, "eu", shared.account)
	addCluster(t, "eu", func(c *storagev1.Cluster) { c.Spec.Agent.Image = "registry.example.com/loft-agent:v1" })
	cluster := awaitCondition(t, "eu", storagev1.ConditionAgentDeployed, "True Applied")
	awaitCondition(t, "eu", storagev1.ConditionAgentReady, "False APIServiceUnavailable")
	awaitCondition(t, "eu", storagev1.ConditionTrustBundleSynced, "True Pushed")
	awaitCondition(t, "eu", storagev1.ConditionAccessSynced, "True Bound")
	system, err := shared.kube.CoreV1().Namespaces().Get(t.Context(), "kube-system", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if cluster.Status.ClusterUID != string(system.UID) || !strings.HasPrefix(cluster.Status.KubernetesVersion, "v1.") {
		t.Errorf("status %+v", cluster.Status)
	}
	t.Run("nothing is written while nothing happens", testQuiet)
	t.Run("certificate", testServing)
	t.Run("upgrade", testUpgrade)
	t.Run("drift", testDrift)
	t.Run("trust", func(t *testing.T) { testTrust(t, trust) })
	t.Run("access", testAccess)
	t.Run("second Cluster of the same", testDuplicate)
	t.Run("events", testEvents)
	t.Run("deletion", testDeletion)
}

// testQuiet holds the status to what it is over some looks at the cluster, once all kinds of work have
// written what they found.
func testQuiet(t *testing.T) {
	before, err := shared.storage.StorageV1().Clusters().Get(t.Context(), "eu", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	watcher, err := shared.storage.StorageV1().Clusters().Watch(t.Context(), metav1.ListOptions{ResourceVersion: before.ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Stop()
	var last []byte
	for settled := time.After(30 * time.Second); ; {
		select {
		case event := <-watcher.ResultChan():
			last, _ = json.Marshal(event.Object)
		case <-time.After(4 * time.Second): // looked at every second
			return
		case <-settled:
			t.Fatalf("still written after 30 s: %s", last)
		}
	}
}

// testServing verifies the certificate as the aggregator would.
func testServing(t *testing.T) {
	secret, err := shared.kube.CoreV1().Secrets("loft").Get(t.Context(), "loft-agent-serving", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	object, err := dynamicClient(t).Resource(apiServices).Get(t.Context(), "v1.cluster.loft.sh", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var registered struct{ Spec struct{ CABundle []byte } }
	data, _ := json.Marshal(object)
	if err := json.Unmarshal(data, &registered); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(registered.Spec.CABundle)
	pair, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: "loft-agent-apiservice.loft.svc", Roots: roots}); err != nil {
		t.Error(err)
	}
}

func testUpgrade(t *testing.T) {
	changeCluster(t, "eu", func(c *storagev1.Cluster) {
		c.Spec.Agent.Image, c.Spec.Agent.Replicas = "registry.example.com/loft-agent:v2", new(int32(3))
		c.Spec.Agent.Values = &runtime.RawExtension{Raw: []byte(`{"template":{"spec":{"nodeSelector":{"pool":"infra"}}}}`)}
	})
	await(t, "the new Deployment", func(ctx context.Context) error {
		deployment, err := shared.kube.AppsV1().Deployments("loft").Get(ctx, "loft-agent", metav1.GetOptions{})
		if err != nil {
			return err
		}
		spec := deployment.Spec
		if spec.Template.Spec.Containers[0].Image != "registry.example.com/loft-agent:v2" || *spec.Replicas != 3 || spec.Template.Spec.NodeSelector["pool"] != "infra" {
			return fmt.Errorf("it is %+v", spec)
		}
		return nil
	})
	awaitCondition(t, "eu", storagev1.ConditionAgentDeployed, "True Applied")
	// What the API server refuses is no Deployment, though its fields are right.
	changeCluster(t, "eu", func(c *storagev1.Cluster) {
		c.Spec.Agent.Values = &runtime.RawExtension{Raw: []byte(`{"template":{"spec":{"restartPolicy":"Never"}}}`)}
	})
	awaitCondition(t, "eu", storagev1.ConditionAgentDeployed, "False "+installer.ReasonApplyFailed)
	changeCluster(t, "eu", func(c *storagev1.Cluster) { c.Spec.Agent.Values = nil })
	awaitCondition(t, "eu", storagev1.ConditionAgentDeployed, "True Applied")
}

func testDrift(t *testing.T) {
	services := shared.kube.CoreV1().Services("loft")
	patch := []byte(`{"spec":{"ports":[{"port":443,"targetPort":1234}]}}`)
	if _, err := services.Patch(t.Context(), "loft-agent-apiservice", types.StrategicMergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, "repair of a Service", func(ctx context.Context) error {
		service, err := services.Get(ctx, "loft-agent-apiservice", metav1.GetOptions{})
		if err == nil && service.Spec.Ports[0].TargetPort.StrVal != "https-api" {
			err = fmt.Errorf("ports %+v", service.Spec.Ports)
		}
		return err
	})
	if err := shared.kube.RbacV1().ClusterRoleBindings().Delete(t.Context(), "loft-agent", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, "a binding that was deleted", func(ctx context.Context) error {
		_, err := shared.kube.RbacV1().ClusterRoleBindings().Get(ctx, "loft-agent", metav1.GetOptions{})
		return err
	})
}

func testTrust(t *testing.T, trust *bundles) {
	version, begun := trust.change(), time.Now()
	await(t, "the changed bundle", func(ctx context.Context) error {
		configMap, err := shared.kube.CoreV1().ConfigMaps("loft").Get(ctx, "loft-agent-trust", metav1.GetOptions{})
		if err == nil && !strings.Contains(configMap.Data["bundle.json"], version) {
			err = errors.New("not the newest")
		}
		return err
	})
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("pushed after %s", took)
	}
}

// testAccess asks as alice herself.
func testAccess(t *testing.T) {
	v1 := shared.storage.StorageV1()
	if _, err := v1.Users().Create(t.Context(), &storagev1.User{ObjectMeta: metav1.ObjectMeta{Name: "alice"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	config, err := shared.UserConfig("loft:user:alice", "loft:user:alice")
	if err != nil {
		t.Fatal(err)
	}
	alice := kubernetes.NewForConfigOrDie(config).CoreV1().Pods("default")
	may := func(want bool) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := alice.List(ctx, metav1.ListOptions{})
			if apierrors.IsForbidden(err) == !want && (err == nil) == want {
				return nil
			}
			return fmt.Errorf("alice's request: %w", err)
		}
	}
	access := &storagev1.ClusterAccess{
		ObjectMeta: metav1.ObjectMeta{Name: "viewers"},
		Spec:       storagev1.ClusterAccessSpec{Clusters: []string{"eu"}, Users: []string{"alice"}, ClusterRole: "view", Namespaces: []string{"default"}},
	}
	await(t, "no access", may(false))
	if access, err = v1.ClusterAccesses().Create(t.Context(), access, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, "access", may(true))
	await(t, "a binding of the endpoint's role", func(ctx context.Context) error {
		binding, err := shared.kube.RbacV1().ClusterRoleBindings().Get(ctx, "loft-agent-endpoint-user", metav1.GetOptions{})
		if err == nil && (len(binding.Subjects) != 1 || binding.Subjects[0].Name != "loft:user:alice") {
			err = fmt.Errorf("subjects %v", binding.Subjects)
		}
		return err
	})
	await(t, "the access's condition", func(ctx context.Context) error {
		access, err := v1.ClusterAccesses().Get(ctx, "viewers", metav1.GetOptions{})
		if err == nil && (len(access.Status.Conditions) != 1 || access.Status.Conditions[0].Status != metav1.ConditionTrue) {
			err = fmt.Errorf("conditions %v", access.Status.Conditions)
		}
		return err
	})
	// A namespace that is not there is said, and takes nothing away elsewhere.
	access.Spec.Namespaces = []string{"default", "nowhere"}
	if _, err = v1.ClusterAccesses().Patch(t.Context(), "viewers", types.MergePatchType, []byte(`{"spec":{"namespaces":["default","nowhere"]}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitCondition(t, "eu", storagev1.ConditionAccessSynced, "False "+bindings.ReasonNamespaceNotFound)
	await(t, "access in the other namespace", may(true))
	if err := v1.ClusterAccesses().Delete(t.Context(), "viewers", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, "the end of the access", may(false))
	awaitCondition(t, "eu", storagev1.ConditionAccessSynced, "True Bound")
}

func testDuplicate(t *testing.T) {
	addCluster(t, "copy", func(c *storagev1.Cluster) { c.Spec.Config.SecretName = "eu" })
	if got := awaitCondition(t, "copy", storagev1.ConditionConnected, "False "+hosts.ReasonDuplicate); got.Status.ClusterUID != "" {
		t.Errorf("UID %q", got.Status.ClusterUID)
	}
	deleteCluster(t, "copy")
	if _, err := shared.kube.AppsV1().Deployments("loft").Get(t.Context(), "loft-agent", metav1.GetOptions{}); err != nil {
		t.Errorf("the agent went with the copy: %v", err)
	}
}

// testEvents looks for a fault and its end, and for what must be in no event.
func testEvents(t *testing.T) {
	await(t, "events", func(ctx context.Context) error {
		list, err := shared.kube.EventsV1().Events("").List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		var lines []string
		for _, event := range list.Items {
			if event.Regarding.Kind == "Cluster" && event.Regarding.Name == "eu" {
				lines = append(lines, event.Type+" "+event.Reason+": "+event.Note)
			}
		}
		all := strings.Join(lines, "\n")
		if strings.Contains(all, shared.account.BearerToken) {
			t.Error("the manager's token is in an event")
		}
		for _, want := range []string{"Normal Reached: Connected", "Normal Applied: AgentDeployed", "Warning ApplyFailed: AgentDeployed", "Warning NamespaceNotFound: AccessSynced"} {
			if !strings.Contains(all, want) {
				return fmt.Errorf("no event %q in:\n%s", want, all)
			}
		}
		return nil
	})
}

func testDeletion(t *testing.T) {
	deleteCluster(t, "eu")
	_, apiService := dynamicClient(t).Resource(apiServices).Get(t.Context(), "v1.cluster.loft.sh", metav1.GetOptions{})
	_, deployment := shared.kube.AppsV1().Deployments("loft").Get(t.Context(), "loft-agent", metav1.GetOptions{})
	_, trust := shared.kube.CoreV1().ConfigMaps("loft").Get(t.Context(), "loft-agent-trust", metav1.GetOptions{})
	_, serving := shared.kube.CoreV1().Secrets("loft").Get(t.Context(), "loft-agent-serving", metav1.GetOptions{})
	_, role := shared.kube.RbacV1().ClusterRoles().Get(t.Context(), "loft-agent", metav1.GetOptions{})
	_, endpoint := shared.kube.RbacV1().ClusterRoleBindings().Get(t.Context(), "loft-agent-endpoint-user", metav1.GetOptions{})
	for name, err := range map[string]error{
		"APIService": apiService, "Deployment": deployment, "trust bundle": trust, "certificate": serving, "role": role, "endpoint's binding": endpoint,
	} {
		if !apierrors.IsNotFound(err) {
			t.Errorf("%s: %v, want it to be gone", name, err)
		}
	}
	if _, err := shared.kube.CoreV1().ServiceAccounts("loft").Get(t.Context(), "loft-connect", metav1.GetOptions{}); err != nil {
		t.Errorf("the manager's account went too: %v", err)
	}
}

func dynamicClient(t *testing.T) dynamic.Interface {
	t.Helper()
	client, err := dynamic.NewForConfig(shared.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// TestBadKubeconfigs has each fault at a real API server, with its reason and nothing done.
func TestBadKubeconfigs(t *testing.T) {
	runController(t, newBundles(t))
	other := rest.CopyConfig(shared.account)
	other.BearerToken = "somebody"
	nobody := rest.CopyConfig(shared.account)
	nobody.Host = "https://127.0.0.1:1"
	untrusted := rest.CopyConfig(shared.account)
	untrusted.CAData = nil
	weak, err := shared.UserConfig("weak")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, want string
		config     *rest.Config
		raw        string
	}{
		{"malformed", connection.ReasonKubeconfigInvalid, nil, "kind: ["},
		{"unauthorized", "Unauthorized", other, ""},
		{"unreachable", netfault.ConnectionRefused, nobody, ""},
		{"untrusted", netfault.CertificateUnknownAuthority, untrusted, ""},
		{"forbidden", "Forbidden", weak, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.config != nil {
				setKubeconfig(t, tt.name, tt.config)
			} else {
				setSecret(t, tt.name, []byte(tt.raw))
			}
			addCluster(t, tt.name, nil)
			got := awaitCondition(t, tt.name, storagev1.ConditionConnected, "False "+tt.want)
			if data, _ := json.Marshal(got.Status); strings.Contains(string(data), shared.account.BearerToken) {
				t.Errorf("the manager's token is in the status: %s", data)
			}
			if _, err := shared.kube.AppsV1().Deployments("loft").Get(t.Context(), "loft-agent", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
				t.Errorf("an agent was installed: %v", err)
			}
			deleteCluster(t, tt.name)
		})
	}
}

// TestManagerGrantsNoMoreThanItHas connects with an account that may not bind every role.
func TestManagerGrantsNoMoreThanItHas(t *testing.T) {
	roles := shared.kube.RbacV1().ClusterRoles()
	role, err := roles.Get(t.Context(), "loft-connect", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var without []rbacv1.PolicyRule
	for _, rule := range role.Rules {
		if rule.Verbs[0] != "bind" {
			without = append(without, rule)
		}
	}
	// The roles of the agent, still.
	without = append(without, rbacv1.PolicyRule{
		APIGroups: []string{"rbac.authorization.k8s.io"}, Resources: []string{"clusterroles"}, Verbs: []string{"bind"},
		ResourceNames: []string{"loft-agent", "loft-agent-endpoint-user"},
	})
	rules := role.Rules
	role.Rules = without
	if role, err = roles.Update(t.Context(), role, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		role.Rules = rules
		if _, err := roles.Update(context.Background(), role, metav1.UpdateOptions{}); err != nil {
			t.Error(err)
		}
	})
	v1 := shared.storage.StorageV1()
	if _, err := v1.Users().Create(t.Context(), &storagev1.User{ObjectMeta: metav1.ObjectMeta{Name: "mallory"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	access := &storagev1.ClusterAccess{
		ObjectMeta: metav1.ObjectMeta{Name: "admins"},
		Spec:       storagev1.ClusterAccessSpec{Clusters: []string{"weak"}, Users: []string{"mallory"}, ClusterRole: "cluster-admin"},
	}
	if _, err := v1.ClusterAccesses().Create(t.Context(), access, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	runController(t, newBundles(t))
	setKubeconfig(t, "weak", shared.account)
	addCluster(t, "weak", nil)
	awaitCondition(t, "weak", storagev1.ConditionAgentDeployed, "True Applied")
	awaitCondition(t, "weak", storagev1.ConditionAccessSynced, "False "+bindings.ReasonBindingRefused)
	if err := v1.ClusterAccesses().Delete(t.Context(), "admins", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitCondition(t, "weak", storagev1.ConditionAccessSynced, "True Bound")
	deleteCluster(t, "weak")
}

// TestIgnoredAgent is one that its administrator installs.
func TestIgnoredAgent(t *testing.T) {
	runController(t, newBundles(t))
	setKubeconfig(t, "ignored", shared.account)
	addCluster(t, "ignored", func(c *storagev1.Cluster) {
		c.Annotations = map[string]string{storagev1.AnnotationIgnoreAgent: "true"}
	})
	awaitCondition(t, "ignored", storagev1.ConditionAgentDeployed, "Unknown AgentIgnored")
	awaitCondition(t, "ignored", storagev1.ConditionTrustBundleSynced, "True Pushed")
	if _, err := shared.kube.AppsV1().Deployments("loft").Get(t.Context(), "loft-agent", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("an agent was installed: %v", err)
	}
	deleteCluster(t, "ignored")
}

// TestTwoManagersAtOnce has two controllers that both believe they lead.
func TestTwoManagersAtOnce(t *testing.T) {
	trust := newBundles(t)
	runController(t, trust)
	stop := runController(t, trust)
	setKubeconfig(t, "both", shared.account)
	addCluster(t, "both", nil)
	awaitCondition(t, "both", storagev1.ConditionAgentDeployed, "True Applied")
	awaitCondition(t, "both", storagev1.ConditionTrustBundleSynced, "True Pushed")
	awaitCondition(t, "both", storagev1.ConditionAccessSynced, "True Bound")
	stop()
	version := trust.change()
	await(t, "the changed bundle", func(ctx context.Context) error {
		configMap, err := shared.kube.CoreV1().ConfigMaps("loft").Get(ctx, "loft-agent-trust", metav1.GetOptions{})
		if err == nil && !strings.Contains(configMap.Data["bundle.json"], version) {
			err = errors.New("not the newest")
		}
		return err
	})
	deleteCluster(t, "both")
}
