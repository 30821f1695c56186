package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/test/sandbox"
)

// stopGrace is how long an agent may take to end when its row is over.
const stopGrace = 5 * time.Second

// Env is what a row works with.
type Env struct {
	// Short asks for seconds instead of minutes.
	Short bool
	// Dir keeps everything that the rows leave.
	Dir string
	// Log takes what goes on.
	Log io.Writer

	cluster *cluster
	row     string
	undo    []func() error
	started int
}

// cluster is the sandbox of all rows.
type cluster struct {
	sandbox *sandbox.Sandbox
	admin   kubernetes.Interface
	// bundle is held by the row that changes the trust bundle of all agents.
	bundle sync.Mutex
}

// forRow is the environment of one row.
func (e *Env) forRow(name string) *Env {
	return &Env{Short: e.Short, Dir: e.Dir, Log: e.Log, cluster: e.cluster, row: name}
}

// Sandbox is the cluster that all rows share. Leave it as it was found.
func (e *Env) Sandbox() *sandbox.Sandbox { return e.cluster.sandbox }

// Admin is a client of the cluster itself.
func (e *Env) Admin() kubernetes.Interface { return e.cluster.admin }

// Logf says what goes on.
func (e *Env) Logf(format string, args ...any) {
	_, _ = fmt.Fprintf(e.Log, "chaos: "+e.row+": "+format+"\n", args...)
}

// Defer does something when the row is over; last come, first served.
func (e *Env) Defer(undo func() error) { e.undo = append(e.undo, undo) }

// end undoes what the row did.
func (e *Env) end() error {
	var errs []error
	for i := len(e.undo) - 1; i >= 0; i-- {
		errs = append(errs, e.undo[i]())
	}
	return errors.Join(errs...)
}

// LockBundle waits until no other row changes the trust bundle, and keeps them from it until this
// one is over.
func (e *Env) LockBundle() {
	e.cluster.bundle.Lock()
	e.Defer(func() error { e.cluster.bundle.Unlock(); return nil })
}

// Time is the long form's duration, or with --short the short one's.
func (e *Env) Time(long, short time.Duration) time.Duration {
	if e.Short {
		return short
	}
	return long
}

// Count is the long form's number, or with --short the short one's.
func (e *Env) Count(long, short int) int {
	if e.Short {
		return short
	}
	return long
}

// Agent starts an agent for this row alone. The row's end ends it.
func (e *Env) Agent(ctx context.Context, opts sandbox.ReplicaOptions) (*sandbox.Replica, error) {
	e.started++
	opts.Name = fmt.Sprintf("%s-%d", e.row, e.started)
	agent, err := e.Sandbox().StartReplica(ctx, opts)
	if agent != nil {
		e.Defer(func() error { return agent.Stop(stopGrace) })
	}
	return agent, err
}

// Cluster starts a cluster for this row alone, where the shared one cannot serve.
func (e *Env) Cluster(ctx context.Context, opts sandbox.Options) (*sandbox.Sandbox, error) {
	opts.Dir, opts.Log = filepath.Join(e.Dir, e.row), e.Log
	s, err := sandbox.Start(ctx, opts)
	if err == nil {
		e.Defer(s.Stop)
	}
	return s, err
}

// Claims are those of a token for a person, good for an hour.
func (e *Env) Claims(person string) accesstoken.Claims {
	return accesstoken.Claims{
		Subject: accesstoken.PersonName(person), UID: person + "-uid",
		Groups:   accesstoken.PersonGroups(person),
		Audience: jwt.Audience{e.Sandbox().Keys().ClusterUID()}, Expiry: jwt.NewNumericDate(time.Now().Add(time.Hour)),
	}
}

// Person makes a person who may do everything in the cluster, and returns a direct token for them.
func (e *Env) Person(ctx context.Context, name string) (string, error) {
	if err := e.Admit(ctx, name); err != nil {
		return "", err
	}
	token, err := e.Sandbox().Keys().Signer().Sign(e.Claims(name))
	if err != nil {
		return "", fmt.Errorf("token of %q: %w", name, err)
	}
	return token, nil
}

// Admit lets a person do everything in the cluster until the row's end.
func (e *Env) Admit(ctx context.Context, name string) error {
	bindings := e.Admin().RbacV1().ClusterRoleBindings()
	user := accesstoken.PersonName(name)
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "chaos-" + name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}
	if _, err := bindings.Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("admit %q: %w", name, err)
	}
	e.Defer(func() error {
		err := bindings.Delete(context.WithoutCancel(ctx), binding.Name, metav1.DeleteOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	})
	// The API server learns of the binding a moment later, and the agent remembers a no.
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: user, ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "*", Group: "*", Resource: "*"},
	}}
	err := wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		answer, err := e.Admin().AuthorizationV1().SubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
		return err == nil && answer.Status.Allowed, nil
	})
	if err != nil {
		return fmt.Errorf("admit %q: %w", name, err)
	}
	return nil
}
