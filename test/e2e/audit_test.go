package e2e

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

// ownRequest is something that the agent asks of the API server as itself.
type ownRequest struct {
	reason string
	verbs  []string
	// path is a URL path; one that ends with "*" stands for all that begin alike.
	path string
}

// ownRequests are all there are. Whatever else the agent sends, it sends as somebody.
var ownRequests = []ownRequest{
	{"a bearer token of the host cluster is checked", []string{"create"}, "/apis/authentication.k8s.io/v1/tokenreviews"},
	{"the right to use the endpoint, and to impersonate, is checked", []string{"create"}, "/apis/authorization.k8s.io/v1/subjectaccessreviews"},
	{"the trust bundle is watched", []string{"get", "list", "watch"}, "/api/v1/namespaces/loft/configmaps*"},
	{"the aggregator's CA and header names are watched", []string{"get", "list", "watch"}, "/api/v1/namespaces/kube-system/configmaps*"},
	{"the cluster's UID is that of kube-system", []string{"get"}, "/api/v1/namespaces/kube-system"},
	{"readiness asks whether the API server lives", []string{"get"}, "/livez"},
	{"namespaces are followed", []string{"list", "watch"}, "/api/v1/namespaces"},
	{"who sees which spaces is found in RBAC", []string{"list", "watch"}, "/apis/rbac.authorization.k8s.io/v1/*"},
	{"one replica leads", []string{"get", "create", "update"}, "/apis/coordination.k8s.io/v1/namespaces/loft/leases*"},
	{"which kinds a space can hold is found out", []string{"get"}, "/api"},
	{"which kinds a space can hold is found out", []string{"get"}, "/apis"},
	{"a space is made and kept", []string{"create"}, "/api/v1/namespaces"},
	{"a space is made and kept", []string{"get", "patch", "delete"}, "/api/v1/namespaces/sleeper-space"},
	{"the owner of a space gets its rights", []string{"create"}, "/apis/rbac.authorization.k8s.io/v1/namespaces/sleeper-space/rolebindings"},
	{"what runs in a space is put to sleep and woken", []string{"get", "list", "create", "patch", "delete"}, "/api/v1/namespaces/sleeper-space/*"},
	{"what runs in a space is put to sleep and woken", []string{"get", "list", "patch"}, "/apis/apps/v1/namespaces/sleeper-space/*"},
	{"what runs in a space is put to sleep and woken", []string{"get", "list", "patch"}, "/apis/batch/v1/namespaces/sleeper-space/*"},
	{"what would wake a space is paused", []string{"get", "list", "patch"}, "/apis/autoscaling/v2/namespaces/sleeper-space/*"},
	{"what would wake a space is paused", []string{"get", "list", "patch"}, "/apis/keda.sh/v1alpha1/namespaces/sleeper-space/*"},
	{"the Kubernetes object says the API server's version", []string{"get"}, "/version"},
}

func (o ownRequest) covers(verb, path string) bool {
	prefix, open := strings.CutSuffix(o.path, "*")
	return slices.Contains(o.verbs, verb) && (path == prefix || open && strings.HasPrefix(path, prefix))
}

// checkAudit reads the whole audit log of the API server after all tests: the agent asked nothing
// as itself but ownRequests.
func checkAudit() error {
	var errs []error
	own := 0
	err := eachEvent(shared.Cluster().AuditLog(), func(e *auditv1.Event) {
		if e.User.Username != agentUser {
			return
		}
		if e.ImpersonatedUser != nil && e.ImpersonatedUser.Username != "" {
			return
		}
		own++
		path, _, _ := strings.Cut(e.RequestURI, "?")
		if !slices.ContainsFunc(ownRequests, func(o ownRequest) bool { return o.covers(e.Verb, path) }) && len(errs) < 20 {
			errs = append(errs, fmt.Errorf("audit log: the agent as itself: %s %s (audit ID %s)", e.Verb, e.RequestURI, e.AuditID))
		}
	})
	if err != nil {
		return err
	}
	if own == 0 {
		// It reads its trust bundle at least, so this looked for the wrong user or into the wrong log.
		errs = append(errs, errors.New("audit log: no request of "+agentUser+" at all"))
	}
	return errors.Join(errs...)
}
