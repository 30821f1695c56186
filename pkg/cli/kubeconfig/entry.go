package kubeconfig

import (
	"fmt"
	"slices"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Entry is a context with its cluster and user.
type Entry struct {
	// Name is that of all three.
	Name string
	// Server is the URL that kubectl talks to.
	Server string
	// CAData is the PEM certificates that the server's is verified with; empty: the system's.
	CAData []byte
	// Insecure says that the server's certificate is not verified; CAData must be empty then, since
	// kubectl refuses the pair.
	Insecure bool
	// Namespace is the context's; empty: none.
	Namespace string
	// Exec is the program that kubectl gets its token from.
	Exec Exec
}

// Exec is a call of this program.
type Exec struct {
	// Command is its absolute path.
	Command string
	// Args begin with "token".
	Args []string
}

const (
	execAPIVersion = "client.authentication.k8s.io/v1"
	installHint    = "Install loft where this context expects it, or write the context again with loft use."
)

func (e Entry) cluster() *clientcmdapi.Cluster {
	cluster := clientcmdapi.NewCluster()
	cluster.Server, cluster.InsecureSkipTLSVerify, cluster.CertificateAuthorityData = e.Server, e.Insecure, e.CAData
	return cluster
}

func (e Entry) user() *clientcmdapi.AuthInfo {
	user := clientcmdapi.NewAuthInfo()
	user.Exec = &clientcmdapi.ExecConfig{
		APIVersion: execAPIVersion, Command: e.Exec.Command, Args: e.Exec.Args,
		InteractiveMode: clientcmdapi.IfAvailableExecInteractiveMode, InstallHint: installHint,
	}
	return user
}

func (e Entry) context() *clientcmdapi.Context {
	context := clientcmdapi.NewContext()
	context.Cluster, context.AuthInfo, context.Namespace = e.Name, e.Name, e.Namespace
	return context
}

// Render is a kubeconfig with the entry alone, as its current context.
func Render(e Entry) ([]byte, error) {
	config := clientcmdapi.NewConfig()
	put(config, e)
	config.CurrentContext = e.Name
	data, err := clientcmd.Write(*config)
	if err != nil {
		return nil, fmt.Errorf("encode the context %s: %w", e.Name, err)
	}
	return data, nil
}

// put writes the entry into config.
func put(config *clientcmdapi.Config, e Entry) {
	config.Clusters[e.Name], config.AuthInfos[e.Name], config.Contexts[e.Name] = e.cluster(), e.user(), e.context()
}

// foreign says which stanza called name is none of ours; empty: none is.
func foreign(config *clientcmdapi.Config, name string) string {
	context, user, cluster := config.Contexts[name], config.AuthInfos[name], config.Clusters[name]
	switch {
	case user != nil && !ours(user):
		return "user"
	case context != nil && (context.AuthInfo != name || context.Cluster != name):
		return "context"
	case cluster != nil && user == nil:
		return "cluster"
	}
	return ""
}

// ours says whether a user is one that this program, or a 2.x client, has written.
func ours(user *clientcmdapi.AuthInfo) bool {
	return user.Exec != nil && len(user.Exec.Args) > 0 && user.Exec.Args[0] == "token" && slices.Contains(user.Exec.Args, "--config")
}
