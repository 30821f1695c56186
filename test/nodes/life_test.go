package nodes_test

import (
	"context"
	"regexp"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"loft.sh/agent/test/nodes"
)

func TestLife(t *testing.T) {
	c := startCluster(t)
	c.runPod(t, "web")
	t.Run("a DaemonSet has a pod on every node", func(t *testing.T) { daemonSet(t, c) })
	t.Run("a Job completes unless it sleeps", func(t *testing.T) { job(t, c) })
	t.Run("a deleted pod goes", func(t *testing.T) { deletion(t, c) })
	t.Run("Stop ends streams and Start takes over", func(t *testing.T) { restart(t, c) })
}

func template(restart corev1.RestartPolicy) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "test"}},
		Spec: corev1.PodSpec{
			Containers:    []corev1.Container{{Name: "main", Image: "none"}},
			RestartPolicy: restart,
		},
	}
}

func daemonSet(t *testing.T, c *cluster) {
	sets := c.client.AppsV1().DaemonSets("default")
	_, err := sets.Create(t.Context(), &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: "every"},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "test"}},
			Template: template(corev1.RestartPolicyAlways),
		},
	}, metav1.CreateOptions{})
	noError(t, err)
	eventually(t, "both pods are ready", func(ctx context.Context) bool {
		set, err := sets.Get(ctx, "every", metav1.GetOptions{})
		return err == nil && set.Status.NumberReady == 2 && set.Status.NumberMisscheduled == 0
	})
}

// job starts one that sleeps first: it still runs when the other has completed.
func job(t *testing.T, c *cluster) {
	jobs := c.client.BatchV1().Jobs("default")
	sleeps := template(corev1.RestartPolicyNever)
	sleeps.Spec.Containers[0].Command = []string{"sleep", "300"}
	for _, job := range []batchv1.Job{
		{ObjectMeta: metav1.ObjectMeta{Name: "sleeps"}, Spec: batchv1.JobSpec{Template: sleeps}},
		{ObjectMeta: metav1.ObjectMeta{Name: "once"}, Spec: batchv1.JobSpec{Template: template(corev1.RestartPolicyNever)}},
	} {
		_, err := jobs.Create(t.Context(), &job, metav1.CreateOptions{})
		noError(t, err)
	}
	eventually(t, "job completes", func(ctx context.Context) bool {
		job, err := jobs.Get(ctx, "once", metav1.GetOptions{})
		return err == nil && job.Status.Succeeded == 1 && job.Status.CompletionTime != nil
	})
	job, err := jobs.Get(t.Context(), "sleeps", metav1.GetOptions{})
	noError(t, err)
	if job.Status.Active != 1 || job.Status.Succeeded != 0 {
		t.Errorf("a Job that sleeps has %d active and %d succeeded pods, want 1 and 0", job.Status.Active, job.Status.Succeeded)
	}
}

func deletion(t *testing.T, c *cluster) {
	c.runPod(t, "short")
	c.output(t, "delete", "pod", "short", "--wait", "--timeout=30s")
}

func restart(t *testing.T, c *cluster) {
	stream := c.kubectl(t, "exec", "web", "--", "sh", "-c", "echo started; exec tail -f /dev/null")
	firstLine(t, stream, regexp.MustCompile("^(started)$"))
	noError(t, c.nodes.Stop())
	_ = stream.Wait() // kubectl takes a stream that is cut without a status for success
	again, err := nodes.Start(t.Context(), nodes.Options{
		Kubeconfig: c.AdminKubeconfig(), Dir: c.dir, Count: 2, Log: t.Output(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.output(t, "exec", "web", "--", "echo", "back"); got != "back\n" {
		t.Errorf("got %q from a node that was started again", got)
	}
	noError(t, again.Err())
	noError(t, again.Stop())
}
