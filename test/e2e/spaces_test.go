package e2e

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
	"loft.sh/agent/generated/clientset/versioned"
	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/test/controlplane"
)

// spacePerson is somebody with a space, at door 1.
type spacePerson struct {
	t          *testing.T
	loft       versioned.Interface
	cluster    kubernetes.Interface
	kubeconfig string
}

func newSpacePerson(t *testing.T, name string) *spacePerson {
	t.Helper()
	config := shared.ClientConfig(sign(t, person(name)))
	p := &spacePerson{t: t, kubeconfig: filepath.Join(t.TempDir(), "kubeconfig")}
	var err error
	if p.loft, err = versioned.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	if p.cluster, err = kubernetes.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	if err := controlplane.WriteKubeconfig(p.kubeconfig, "space", config); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *spacePerson) kubectl(args ...string) (stdout, stderr string, err error) {
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(p.t.Context(), shared.Cluster().Binaries().Kubectl, append([]string{"--kubeconfig", p.kubeconfig}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// change is what clients do: read the one configuration, change it, post it back.
func (p *spacePerson) change(space string, change func(*clusterv1.SleepModeConfig)) {
	p.t.Helper()
	list, err := p.loft.ClusterV1().SleepModeConfigs(space).List(p.t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 1 {
		p.t.Fatalf("%d configurations, error %v", len(list.Items), err)
	}
	change(&list.Items[0])
	if _, err := p.loft.ClusterV1().SleepModeConfigs(space).Create(p.t.Context(), &list.Items[0], metav1.CreateOptions{}); err != nil {
		p.t.Fatal(err)
	}
}

func (p *spacePerson) await(space, what string, until func(*clusterv1.Space) bool) {
	p.t.Helper()
	var last *clusterv1.Space
	err := wait.PollUntilContextTimeout(p.t.Context(), 50*time.Millisecond, 90*time.Second, true, func(ctx context.Context) (bool, error) {
		got, err := p.loft.ClusterV1().Spaces().Get(ctx, space, metav1.GetOptions{})
		if err != nil {
			return false, nil
		}
		last = got
		return until(got), nil
	})
	if err != nil {
		p.t.Fatalf("%s: %v: %+v", what, err, last)
	}
}

func isAsleep(s *clusterv1.Space) bool {
	return s.Status.SleepModeConfig.Status.SleepingSince != 0 && s.Annotations["sleepmode.loft.sh/phase"] == "Asleep"
}

func isAwake(s *clusterv1.Space) bool { return s.Status.SleepModeConfig.Status.SleepingSince == 0 }

// allowSpaces lets a person make spaces.
func allowSpaces(t *testing.T, name string) {
	t.Helper()
	admin, err := kubernetes.NewForConfig(shared.Cluster().RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	bindings := admin.RbacV1().ClusterRoleBindings()
	_, err = bindings.Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "e2e-spaces-" + name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "loft-agent-space-creator"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: accesstoken.PersonName(name)}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = bindings.Delete(context.WithoutCancel(t.Context()), "e2e-spaces-"+name, metav1.DeleteOptions{})
	})
}

// TestSpaceSleepsAndWakes is a person's day with a space: made, put to sleep, woken by what the person
// does, twice; refused while it is forced to sleep; deleted.
func TestSpaceSleepsAndWakes(t *testing.T) {
	t.Parallel()
	allowSpaces(t, "sleeper")
	p, eve := newSpacePerson(t, "sleeper"), newSpacePerson(t, "eve")
	const name = "sleeper-space"
	wantSpace(p, name)
	p.furnish(name)
	if _, err := eve.loft.ClusterV1().Spaces().Get(t.Context(), name, metav1.GetOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("eve gets the space: %v", err)
	}
	if list, err := eve.loft.ClusterV1().Spaces().List(t.Context(), metav1.ListOptions{}); err != nil || len(list.Items) != 0 {
		t.Errorf("eve lists %d spaces, error %v", len(list.Items), err)
	}
	for range 2 {
		p.change(name, func(c *clusterv1.SleepModeConfig) { c.Spec.ForceSleep = true })
		p.await(name, "falling asleep", isAsleep)
		p.wantReplicas(name, 0, 0)
		if out, _, err := p.kubectl("get", "spaces"); err != nil || !strings.Contains(out, "forcedSleep") {
			t.Errorf("list of spaces: %s, error %v", out, err)
		}
		began := time.Now()
		out, stderr, err := p.kubectl("exec", "-n", name, "db-0", "--", "echo", "awake")
		if err != nil || strings.TrimSpace(out) != "awake" {
			t.Fatalf("exec: %q, %s: %v", out, stderr, err)
		}
		t.Logf("exec into a space that sleeps took %s", time.Since(began))
		p.await(name, "waking", isAwake)
		p.wantReplicas(name, 3, 1)
	}
	p.change(name, func(c *clusterv1.SleepModeConfig) {
		c.Spec.ForceSleep, c.Spec.ForceSleepDuration = true, ptr.To[int64](3600)
	})
	p.await(name, "falling asleep for an hour", isAsleep)
	if _, stderr, err := p.kubectl("exec", "-n", name, "db-0", "--", "true"); err == nil || !strings.Contains(stderr, "loft wakeup "+name) {
		t.Errorf("exec while it is forced to sleep: %v, %s", err, stderr)
	}
	if _, stderr, err := p.kubectl("get", "deploy", "-n", name); err != nil || !strings.Contains(stderr, "Warning: space "+name+" sleeps until") {
		t.Errorf("get while it is forced to sleep: %v, %s", err, stderr)
	}
	p.change(name, func(c *clusterv1.SleepModeConfig) {
		c.Spec.ForceSleep, c.Spec.ForceSleepDuration, c.Status.LastActivity = false, nil, time.Now().Unix()
	})
	p.await(name, "waking by hand", isAwake)
	p.wantReplicas(name, 3, 1)
	if err := p.loft.ClusterV1().Spaces().Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
}

// wantSpace makes a space, and waits until its owner may use it.
func wantSpace(p *spacePerson, name string) {
	p.t.Helper()
	space := &clusterv1.Space{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{"sleepmode.loft.sh/sleep-after": "28800"}},
		Spec:       clusterv1.SpaceSpec{Objects: "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: welcome\ndata:\n  a: b\n"},
	}
	err := wait.PollUntilContextTimeout(p.t.Context(), 200*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		_, err := p.loft.ClusterV1().Spaces().Create(ctx, space, metav1.CreateOptions{})
		if apierrors.IsForbidden(err) { // a no is remembered for a moment
			return false, nil
		}
		return true, err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.await(name, "seeing the space", func(s *clusterv1.Space) bool { return s.Spec.User == "sleeper" })
	if _, err := p.cluster.CoreV1().ConfigMaps(name).Get(p.t.Context(), "welcome", metav1.GetOptions{}); err != nil {
		p.t.Errorf("the space's objects: %v", err)
	}
}

// furnish gives a space a Deployment of three and a StatefulSet of one that is ready.
func (p *spacePerson) furnish(name string) {
	p.t.Helper()
	meta := func(app string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Name: app, Labels: map[string]string{"app": app}}
	}
	template := func(app string) corev1.PodTemplateSpec {
		return corev1.PodTemplateSpec{ObjectMeta: meta(app), Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Name: "c", Image: "none"}}, TerminationGracePeriodSeconds: ptr.To[int64](0),
		}}
	}
	_, err := p.cluster.AppsV1().Deployments(name).Create(p.t.Context(), &appsv1.Deployment{ObjectMeta: meta("web"), Spec: appsv1.DeploymentSpec{
		Replicas: ptr.To[int32](3), Selector: &metav1.LabelSelector{MatchLabels: meta("web").Labels}, Template: template("web"),
	}}, metav1.CreateOptions{})
	if err != nil {
		p.t.Fatal(err)
	}
	_, err = p.cluster.AppsV1().StatefulSets(name).Create(p.t.Context(), &appsv1.StatefulSet{ObjectMeta: meta("db"), Spec: appsv1.StatefulSetSpec{
		Replicas: ptr.To[int32](1), ServiceName: "db", Selector: &metav1.LabelSelector{MatchLabels: meta("db").Labels}, Template: template("db"),
	}}, metav1.CreateOptions{})
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *spacePerson) wantReplicas(name string, web, db int32) {
	p.t.Helper()
	admin, err := kubernetes.NewForConfig(shared.Cluster().RESTConfig())
	if err != nil {
		p.t.Fatal(err)
	}
	deployment, err := admin.AppsV1().Deployments(name).Get(p.t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		p.t.Fatal(err)
	}
	set, err := admin.AppsV1().StatefulSets(name).Get(p.t.Context(), "db", metav1.GetOptions{})
	if err != nil {
		p.t.Fatal(err)
	}
	if *deployment.Spec.Replicas != web || *set.Spec.Replicas != db {
		p.t.Errorf("web has %d replicas, db %d; want %d and %d", *deployment.Spec.Replicas, *set.Spec.Replicas, web, db)
	}
}
