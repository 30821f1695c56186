package target

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"loft.sh/agent/pkg/accesstoken"
)

const (
	// accounts is the namespace of the service accounts.
	accounts = "bench-accounts"
	// precedence of the FlowSchema, before those of people and service accounts.
	precedence = 500
)

// grant makes everybody who asks a cluster-admin, in one priority level.
func (e *Env) grant(ctx context.Context) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: accounts}}
	if _, err := e.client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("namespace %q: %w", accounts, err)
	}
	group := "system:serviceaccounts:" + accounts
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "bench"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects: []rbacv1.Subject{
			{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: accesstoken.PersonName(person)},
			{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: certificateUser},
			{Kind: rbacv1.GroupKind, APIGroup: rbacv1.GroupName, Name: group},
		},
	}
	if _, err := e.client.RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("cluster role binding: %w", err)
	}
	if _, err := e.client.FlowcontrolV1().FlowSchemas().Create(ctx, flowSchema(group), metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("flow schema: %w", err)
	}
	return nil
}

func flowSchema(group string) *flowcontrolv1.FlowSchema {
	return &flowcontrolv1.FlowSchema{
		ObjectMeta: metav1.ObjectMeta{Name: "bench"},
		Spec: flowcontrolv1.FlowSchemaSpec{
			PriorityLevelConfiguration: flowcontrolv1.PriorityLevelConfigurationReference{Name: "workload-low"},
			MatchingPrecedence:         precedence,
			DistinguisherMethod:        &flowcontrolv1.FlowDistinguisherMethod{Type: flowcontrolv1.FlowDistinguisherMethodByUserType},
			Rules: []flowcontrolv1.PolicyRulesWithSubjects{{
				Subjects: []flowcontrolv1.Subject{
					{Kind: flowcontrolv1.SubjectKindUser, User: &flowcontrolv1.UserSubject{Name: accesstoken.PersonName(person)}},
					{Kind: flowcontrolv1.SubjectKindUser, User: &flowcontrolv1.UserSubject{Name: certificateUser}},
					{Kind: flowcontrolv1.SubjectKindGroup, Group: &flowcontrolv1.GroupSubject{Name: group}},
				},
				ResourceRules: []flowcontrolv1.ResourcePolicyRule{{
					Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"},
					Namespaces: []string{"*"}, ClusterScope: true,
				}},
			}},
		},
	}
}

// account makes a service account and returns its token and user name.
func (e *Env) account(ctx context.Context, name string) (token, username string, err error) {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := e.client.CoreV1().ServiceAccounts(accounts).Create(ctx, account, metav1.CreateOptions{}); err != nil {
		return "", "", fmt.Errorf("service account %q: %w", name, err)
	}
	token, err = e.Sandbox.Cluster().ServiceAccountToken(ctx, accounts, name, tokenTTL)
	return token, "system:serviceaccount:" + accounts + ":" + name, err
}

// trust is the configuration of a client that trusts the PEM encoded authority alone.
func trust(ca []byte) *tls.Config {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	return &tls.Config{RootCAs: pool}
}
