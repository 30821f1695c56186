package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/test/controlplane"
	"loft.sh/agent/test/sandbox"
)

const (
	// person is who runs the suite through the endpoint.
	person = "conformance"
	// tokenTTL is longer than any run.
	tokenTTL = 12 * time.Hour
	// advertised is what the API server writes into its own Endpoints. Nobody connects there, but
	// without an address that is not a loopback one it has none, and a spec asks for them. It is
	// of the network that RFC 5737 keeps for examples.
	advertised = "192.0.2.1"
	nodes      = 2
)

// cluster is where the specs run.
type cluster struct {
	*sandbox.Sandbox
	// direct and endpoint are the kubeconfigs of the two ways.
	direct, endpoint string
}

// startCluster starts a connected cluster with its agent and makes the person an admin of it.
func startCluster(ctx context.Context, dir string, log io.Writer) (_ *cluster, err error) {
	s, err := sandbox.Start(ctx, sandbox.Options{
		Dir: dir, Nodes: nodes, Log: log,
		APIServerArgs: []string{"--advertise-address=" + advertised, "--endpoint-reconciler-type=lease"},
	})
	if err != nil {
		return nil, err
	}
	c := &cluster{
		Sandbox: s, direct: s.Cluster().AdminKubeconfig(), endpoint: filepath.Join(dir, "endpoint.kubeconfig"),
	}
	if err := errors.Join(c.bind(ctx), c.writeKubeconfig()); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return c, nil
}

// bind makes the person a cluster admin by name; system:masters no token can say.
func (c *cluster) bind(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(c.Cluster().RESTConfig())
	if err != nil {
		return fmt.Errorf("client of the connected cluster: %w", err)
	}
	_, err = client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "loft-conformance"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects: []rbacv1.Subject{{
			APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: accesstoken.PersonName(person),
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("bind %s to cluster-admin: %w", person, err)
	}
	return nil
}

func (c *cluster) writeKubeconfig() error {
	token, err := c.Keys().Signer().Sign(accesstoken.Claims{
		Subject: accesstoken.PersonName(person), UID: person + "-uid", Groups: accesstoken.PersonGroups(person),
		Audience: jwt.Audience{c.Keys().ClusterUID()}, Expiry: jwt.NewNumericDate(time.Now().Add(tokenTTL)),
	})
	if err != nil {
		return fmt.Errorf("token of %s: %w", person, err)
	}
	return controlplane.WriteKubeconfig(c.endpoint, "endpoint", c.ClientConfig(token))
}
