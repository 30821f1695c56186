package controlplane

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
)

// The Kubernetes version that binaries/go.mod pins.
const (
	kubernetesVersion = "v1.37.2"
	kubernetesMajor   = "1"
	kubernetesMinor   = "37"
)

// KubernetesLDFlags stamps the version into a program of k8s.io/kubernetes; clients refuse
// to parse the placeholder of a build without it. Other flags mean another build cache.
const KubernetesLDFlags = "-s -w" +
	" -X k8s.io/component-base/version.gitVersion=" + kubernetesVersion +
	" -X k8s.io/component-base/version.gitMajor=" + kubernetesMajor +
	" -X k8s.io/component-base/version.gitMinor=" + kubernetesMinor +
	" -X k8s.io/client-go/pkg/version.gitVersion=" + kubernetesVersion

// Binaries are the paths of the programs of a control plane.
type Binaries struct {
	Etcd, APIServer, ControllerManager, Kubectl string
}

// BuildBinaries compiles the control plane's programs, or finds them in the cache. The
// progress of a build goes to log, which may be nil.
func BuildBinaries(ctx context.Context, log io.Writer) (Binaries, error) {
	root, err := ModuleRoot()
	if err != nil {
		return Binaries{}, err
	}
	dir, err := BuildPrograms(ctx, Build{
		Name:      kubernetesVersion,
		ModuleDir: filepath.Join(root, "test", "controlplane", "binaries"),
		Programs: []Program{
			{Name: "etcd", Package: "go.etcd.io/etcd/server/v3"},
			{Name: "kube-apiserver", Package: "k8s.io/kubernetes/cmd/kube-apiserver"},
			{Name: "kube-controller-manager", Package: "k8s.io/kubernetes/cmd/kube-controller-manager"},
			{Name: "kubectl", Package: "k8s.io/kubernetes/cmd/kubectl"},
		},
		LDFlags: KubernetesLDFlags,
		Log:     log,
	})
	if err != nil {
		return Binaries{}, fmt.Errorf("programs of the control plane: %w", err)
	}
	return Binaries{
		Etcd:              filepath.Join(dir, "etcd"),
		APIServer:         filepath.Join(dir, "kube-apiserver"),
		ControllerManager: filepath.Join(dir, "kube-controller-manager"),
		Kubectl:           filepath.Join(dir, "kubectl"),
	}, nil
}
