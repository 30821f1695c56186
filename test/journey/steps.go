package journey

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"loft.sh/agent/test/sandbox/central"
)

// revocation bounds how long a revoked key may still be of use.
const revocation = 10 * time.Second

// Run goes through an installation that was started with Options.
func (j *Journey) Run(ctx context.Context, c *central.Central) error {
	j.central = c
	for _, step := range []func(context.Context) error{j.logIn, j.direct, j.throughCentre, j.withoutCentre, j.revoked} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	j.say("Done: straight to the cluster, under the same rules, with the centre or without")
	return nil
}

func (j *Journey) logIn(ctx context.Context) error {
	j.say("alice logs in, and sees the clusters that she may use")
	if err := j.login(ctx, central.Alice); err != nil {
		return err
	}
	_, err := j.run(ctx, call{person: central.Alice, want: []string{First, Second, "True"}}, j.loft, "list", "clusters")
	return err
}

// use points alice's kubectl at the first cluster.
func (j *Journey) use(ctx context.Context, directly bool) error {
	info := "[info]   Using direct cluster endpoint at " + j.central.Connected(First).EndpointURL() + "\n"
	c := call{person: central.Alice, want: []string{"[done] √ Successfully updated kube context to use cluster " + First + "\n"}}
	if directly {
		c.want = append(c.want, info)
	} else {
		c.unwanted = "[info]"
	}
	_, err := j.run(ctx, c, j.loft, "use", "cluster", First)
	return err
}

func (j *Journey) directURL() string {
	return j.central.Connected(First).EndpointURL() + "/kubernetes/cluster"
}

func (j *Journey) direct(ctx context.Context) error {
	j.say("alice's kubectl goes straight to the cluster")
	if err := j.use(ctx, true); err != nil {
		return err
	}
	return j.namespaces(ctx, central.Alice, j.directURL())
}

// annotate has the administrator change an annotation of the first cluster, through the manager's API.
func (j *Journey) annotate(ctx context.Context, change string) error {
	_, err := j.run(ctx, call{person: central.Admin}, j.Kubectl(), "--server", j.central.URL()+"/kubernetes/management",
		"--certificate-authority", j.central.CAFile(), "--token", j.central.Key(central.Admin),
		"annotate", "--overwrite", "clusters.management.loft.sh", First, change)
	return err
}

const endpointAnnotation = "loft.sh/direct-cluster-endpoint"

func (j *Journey) throughCentre(ctx context.Context) error {
	j.say("The administrator takes the annotation away: alice's next context leads through the centre")
	if err := j.annotate(ctx, endpointAnnotation+"-"); err != nil {
		return err
	}
	if err := j.use(ctx, false); err != nil {
		return err
	}
	return j.namespaces(ctx, central.Alice, j.central.URL()+"/kubernetes/cluster/"+First)
}

func (j *Journey) withoutCentre(ctx context.Context) error {
	j.say("The annotation is back, and then the centre stops: kubectl goes on")
	if err := j.annotate(ctx, endpointAnnotation+"="+j.central.Connected(First).EndpointURL()); err != nil {
		return err
	}
	if err := j.use(ctx, true); err != nil {
		return err
	}
	for _, manager := range j.central.Managers() {
		if err := manager.Stop(); err != nil {
			return err
		}
	}
	if _, err := j.run(ctx, call{person: central.Alice, fails: true, want: []string{"connection refused"}}, j.loft, "whoami"); err != nil {
		return err
	}
	return j.namespaces(ctx, central.Alice, j.directURL())
}

func (j *Journey) revoked(ctx context.Context) error {
	j.say("The centre is back, and alice's access key is taken away: kubectl is refused")
	for _, manager := range j.central.Managers() {
		if err := manager.Start(ctx); err != nil {
			return err
		}
	}
	if _, err := j.run(ctx, call{person: central.Admin}, j.Kubectl(), "--kubeconfig", j.central.Cluster().AdminKubeconfig(),
		"delete", "accesskeys.storage.loft.sh", central.Alice); err != nil {
		return err
	}
	began := time.Now()
	deleted := call{person: central.Alice, fails: true}
	err := wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, 2*revocation, true, func(ctx context.Context) (bool, error) {
		_, err := j.quiet().run(ctx, deleted, j.Kubectl(), "get", "ns")
		return err == nil, nil
	})
	if err != nil {
		return fmt.Errorf("kubectl is let in with a revoked key for more than %s: %w", 2*revocation, err)
	}
	took := time.Since(began)
	_, _ = fmt.Fprintf(j.out, "\nrefused %.1f s after the key was deleted\n", took.Seconds())
	if took > revocation {
		return fmt.Errorf("the agent took %s to refuse a revoked key, and %s is the most", took, revocation)
	}
	_, err = j.run(ctx, call{person: central.Alice, fails: true}, j.Kubectl(), "get", "ns")
	_, err2 := j.run(ctx, call{person: central.Alice, fails: true, want: []string{"refused the access key"}}, j.loft, "whoami")
	return errors.Join(err, err2)
}
