package central

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/pkg/manager/tokens/signingkeys"
)

// killLeader ends the leading manager as a crash does.
func killLeader(t *testing.T) {
	t.Helper()
	leader := shared.Leader()
	if leader == nil {
		t.Fatal("no manager leads")
	}
	if err := leader.Kill(); err != nil {
		t.Fatal(err)
	}
}

// awaitLeader starts what was killed, and waits until somebody leads.
func awaitLeader(t *testing.T) {
	t.Helper()
	startManagers(t)
	await(t, patience, "a leader", func() error {
		if shared.Leader() == nil {
			return errors.New("no manager leads")
		}
		return nil
	})
}

// TestLeaderKilledDuringInstall: who leads next ends what the killed one began.
func TestLeaderKilledDuringInstall(t *testing.T) {
	awaitLeader(t)
	before := installed(t)
	cluster := disconnect(t)
	cluster.ResourceVersion, cluster.UID = "", ""
	if _, err := shared.Storage().Clusters().Create(t.Context(), cluster, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	client := connectedClient(t, us)
	// The account comes early: what follows is not there yet.
	await(t, patience, "the installation has begun", func() error {
		_, err := client.CoreV1().ServiceAccounts("loft").Get(t.Context(), "loft-agent", metav1.GetOptions{})
		return err
	})
	began := time.Now()
	killLeader(t)
	await(t, patience, "everything is installed", func() error {
		_, err := client.AppsV1().Deployments("loft").Get(t.Context(), "loft-agent", metav1.GetOptions{})
		return err
	})
	t.Logf("installed %s after the leader was killed", time.Since(began).Round(time.Millisecond))
	if err := shared.Connected(us).RestartAgent(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := shared.AwaitConditions(t.Context(), us, storagev1.ConditionConnected, storagev1.ConditionAgentDeployed,
		storagev1.ConditionAgentReady, storagev1.ConditionTrustBundleSynced, storagev1.ConditionDirectEndpointReachable); err != nil {
		t.Fatal(err)
	}
	same(t, "what is installed", before, installed(t))
	awaitLeader(t)
}

// disconnect deletes the Cluster us, waits until the agent's objects are gone, and returns it as it was.
func disconnect(t *testing.T) *storagev1.Cluster {
	t.Helper()
	ctx := t.Context()
	cluster, err := shared.Storage().Clusters().Get(ctx, us, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := shared.Storage().Clusters().Delete(ctx, us, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	took := await(t, patience, "the Cluster is gone", func() error {
		_, err := shared.Storage().Clusters().Get(ctx, us, metav1.GetOptions{})
		return isGone(err)
	})
	t.Logf("the agent was taken out within %s", took.Round(time.Millisecond))
	client := connectedClient(t, us)
	_, err = client.AppsV1().Deployments("loft").Get(ctx, "loft-agent", metav1.GetOptions{})
	if err := isGone(err); err != nil {
		t.Errorf("Deployment: %v", err)
	}
	_, err = client.RbacV1().ClusterRoles().Get(ctx, "loft-agent", metav1.GetOptions{})
	if err := isGone(err); err != nil {
		t.Errorf("ClusterRole: %v", err)
	}
	return &storagev1.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: cluster.Name, Annotations: cluster.Annotations}, Spec: cluster.Spec,
	}
}

func isGone(err error) error {
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err == nil:
		return errors.New("it is there")
	}
	return err
}

// agentObjects are parts of what the manager installs.
type agentObjects struct {
	Deployment appsv1.DeploymentSpec
	Rules      []rbacv1.PolicyRule
	Role       []rbacv1.PolicyRule
}

func installed(t *testing.T) agentObjects {
	t.Helper()
	client := connectedClient(t, us)
	deployment, err := client.AppsV1().Deployments("loft").Get(t.Context(), "loft-agent", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	clusterRole, err := client.RbacV1().ClusterRoles().Get(t.Context(), "loft-agent", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	role, err := client.RbacV1().Roles("loft").Get(t.Context(), "loft-agent", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return agentObjects{deployment.Spec, clusterRole.Rules, role.Rules}
}

func connectedClient(t *testing.T, cluster string) kubernetes.Interface {
	t.Helper()
	client, err := kubernetes.NewForConfig(shared.Connected(cluster).Cluster().RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// TestLeaderKilledDuringPush: a revocation arrives though who would have pushed it is dead.
func TestLeaderKilledDuringPush(t *testing.T) {
	awaitLeader(t)
	p := newPerson(t, "pushed", eu, us)
	token := p.token(t)
	for _, cluster := range []string{eu, us} {
		await(t, patience, cluster, func() error { return endpoint(cluster, token, namespaces).wants(http.StatusOK) })
	}
	if err := shared.Storage().AccessKeys().Delete(t.Context(), p.name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	killLeader(t)
	for _, cluster := range []string{eu, us} {
		await(t, patience, cluster, func() error { return endpoint(cluster, token, namespaces).wants(http.StatusUnauthorized) })
		t.Logf("revoked in %s %s after the leader was killed", cluster, time.Since(began).Round(time.Millisecond))
	}
	awaitLeader(t)
}

// TestLeaderKilledDuringRotation: there is one new key in the end, and tokens of both work everywhere.
func TestLeaderKilledDuringRotation(t *testing.T) {
	awaitLeader(t)
	old := alice().token(t)
	before := trusted(t, eu)
	rotate(t)
	began := time.Now()
	killLeader(t)
	await(t, patience, "the new key is trusted", func() error {
		for _, cluster := range []string{eu, us} {
			if got := len(trusted(t, cluster)); got != len(before)+1 {
				return fmt.Errorf("%d keys in %s, want one more than %d", got, cluster, len(before))
			}
		}
		return nil
	})
	t.Logf("a new key is trusted %s after the leader was killed", time.Since(began).Round(time.Millisecond))
	awaitLeader(t)
	if got := len(trusted(t, eu)); got != len(before)+1 {
		t.Errorf("%d keys are trusted in the end, want %d", got, len(before)+1)
	}
	if err := endpoint(eu, old, namespaces).wants(http.StatusOK); err != nil {
		t.Errorf("token of the old key: %v", err)
	}
	rotated = keyOf(t, old)
}

// rotated is the ID of the key that a new one follows.
var rotated string

// TestRotatedKeySigns comes after the rotation, beside other tests: a key that was asked for by hand signs
// a minute later.
func TestRotatedKeySigns(t *testing.T) {
	t.Parallel()
	if rotated == "" {
		rotated = keyOf(t, alice().token(t))
		rotate(t)
	}
	old := alice().token(t)
	var renewed string
	took := await(t, 2*patience, "the new key signs", func() error {
		if renewed = alice().token(t); keyOf(t, renewed) == rotated {
			return errors.New("the old one does")
		}
		return nil
	})
	t.Logf("it signs after another %s", took.Round(time.Second))
	for _, cluster := range []string{eu, us} {
		for name, token := range map[string]string{"earlier": old, "new": renewed} {
			if err := endpoint(cluster, token, namespaces).wants(http.StatusOK); err != nil {
				t.Errorf("%s token in %s: %v", name, cluster, err)
			}
		}
	}
}

// rotate asks for a new signing key by hand.
func rotate(t *testing.T) {
	t.Helper()
	config := shared.Cluster().AdminKubeconfig()
	printed(t, config, "annotate", "secret", "--namespace=loft", signingkeys.SecretName, "--overwrite",
		signingkeys.AnnotationRotate+"="+time.Now().Format(time.RFC3339Nano))
}

// trusted are the IDs of the keys that the agent of a cluster trusts.
func trusted(t *testing.T, cluster string) []string {
	t.Helper()
	configMap, err := connectedClient(t, cluster).CoreV1().ConfigMaps("loft").
		Get(context.WithoutCancel(t.Context()), "loft-agent-trust", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := accesstoken.ParseBundle([]byte(configMap.Data["bundle.json"]))
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, key := range bundle.JWKS.Keys {
		ids = append(ids, key.KeyID)
	}
	return ids
}
