package controlplane

import (
	"fmt"
	"path/filepath"
)

const (
	serviceIPRange = "10.96.0.0/16"
	// firstServiceIP is what the Service kubernetes in namespace default gets.
	firstServiceIP = "10.96.0.1"
	// serviceAccountIssuer is also the only audience of a token that asks for none.
	serviceAccountIssuer = "https://kubernetes.default.svc"
)

// auditPolicy records every request with the user and the impersonated user, but no bodies.
// Without the stage RequestReceived an ordinary request is one line, a watch or exec two.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
`

// ports are the loopback ports of one attempt to start.
type ports struct {
	etcdClient, etcdPeer, apiServer, controllerManager int
}

func httpsURL(port int) string { return fmt.Sprintf("https://127.0.0.1:%d", port) }

func (c *ControlPlane) etcdArgs() []string {
	client, peer := httpsURL(c.ports.etcdClient), httpsURL(c.ports.etcdPeer)
	return []string{
		"--name=default",
		"--data-dir=" + filepath.Join(c.opts.Dir, "etcd"),
		"--unsafe-no-fsync", // the data need not survive a power cut
		"--enable-grpc-gateway=false",
		"--listen-client-urls=" + client,
		"--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer,
		"--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=default=" + peer,
		"--client-cert-auth",
		"--trusted-ca-file=" + c.pki.path("etcd-ca.crt"),
		"--cert-file=" + c.pki.path("etcd.crt"),
		"--key-file=" + c.pki.path("etcd.key"),
		"--peer-client-cert-auth",
		"--peer-trusted-ca-file=" + c.pki.path("etcd-ca.crt"),
		"--peer-cert-file=" + c.pki.path("etcd.crt"),
		"--peer-key-file=" + c.pki.path("etcd.key"),
	}
}

func (c *ControlPlane) apiServerArgs() []string {
	args := []string{
		"--bind-address=127.0.0.1",
		"--advertise-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", c.ports.apiServer),
		"--endpoint-reconciler-type=none", // an endpoint on a loopback address is refused
		"--service-cluster-ip-range=" + serviceIPRange,
		"--allow-privileged=true",
		"--authorization-mode=Node,RBAC",

		"--etcd-servers=" + httpsURL(c.ports.etcdClient),
		"--etcd-cafile=" + c.pki.path("etcd-ca.crt"),
		"--etcd-certfile=" + c.pki.path("apiserver-etcd-client.crt"),
		"--etcd-keyfile=" + c.pki.path("apiserver-etcd-client.key"),

		"--tls-cert-file=" + c.pki.path("apiserver.crt"),
		"--tls-private-key-file=" + c.pki.path("apiserver.key"),
		"--client-ca-file=" + c.CAFile(),

		"--service-account-issuer=" + serviceAccountIssuer,
		"--service-account-key-file=" + c.pki.path("service-account.key"),
		"--service-account-signing-key-file=" + c.pki.path("service-account.key"),

		"--requestheader-client-ca-file=" + c.FrontProxyCAFile(),
		"--requestheader-allowed-names=" + frontProxyUser,
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-uid-headers=X-Remote-Uid",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + c.pki.path("front-proxy-client.crt"),
		"--proxy-client-key-file=" + c.pki.path("front-proxy-client.key"),

		"--audit-policy-file=" + c.auditPolicyFile(),
		"--audit-log-path=" + c.AuditLog(),
		"--audit-log-mode=blocking", // the record is there before the client has its answer
		"--audit-log-maxsize=0",     // never rotated: whoever reads it finds everything
	}
	return append(args, c.opts.ExtraAPIServerArgs...)
}

func (c *ControlPlane) controllerManagerArgs() []string {
	args := []string{
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", c.ports.controllerManager),
		"--tls-cert-file=" + c.pki.path("controller-manager.crt"),
		"--tls-private-key-file=" + c.pki.path("controller-manager.key"),
		"--kubeconfig=" + c.AdminKubeconfig(),
		"--authentication-kubeconfig=" + c.AdminKubeconfig(),
		"--authorization-kubeconfig=" + c.AdminKubeconfig(),
		"--leader-elect=false",
		"--use-service-account-credentials=true",
		// At the default of 20 a second its start takes 4 s longer, for the service accounts alone.
		"--kube-api-qps=500",
		"--kube-api-burst=1000",
		"--root-ca-file=" + c.CAFile(),
		"--service-account-private-key-file=" + c.pki.path("service-account.key"),
		"--cluster-signing-cert-file=" + c.CAFile(),
		"--cluster-signing-key-file=" + c.pki.path("ca.key"),
	}
	return append(args, c.opts.ExtraControllerManagerArgs...)
}
