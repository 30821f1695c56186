package nodes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
)

const readyInterval = 50 * time.Millisecond

// register makes a Node, or leads one of an earlier run to the new port.
func register(ctx context.Context, hostClient kubernetes.Interface, name string, port int) error {
	node := newNode(name, port)
	_, err := hostClient.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		if err != nil {
			return fmt.Errorf("register node %q: %w", name, err)
		}
		return nil
	}
	patch, err := json.Marshal(map[string]any{"status": map[string]any{
		"addresses": node.Status.Addresses, "daemonEndpoints": node.Status.DaemonEndpoints,
	}})
	if err != nil {
		return fmt.Errorf("encode status of node %q: %w", name, err)
	}
	_, err = hostClient.CoreV1().Nodes().Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	if err != nil {
		return fmt.Errorf("register node %q again: %w", name, err)
	}
	return nil
}

func newNode(name string, port int) *corev1.Node {
	capacity := corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse("64"),
		corev1.ResourceMemory: resource.MustParse("256Gi"),
		corev1.ResourcePods:   resource.MustParse("1k"),
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
			corev1.LabelHostname: name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: runtime.GOARCH,
		}},
		Status: corev1.NodeStatus{
			Capacity:    capacity,
			Allocatable: capacity,
			Addresses: []corev1.NodeAddress{
				{Type: corev1.NodeInternalIP, Address: "127.0.0.1"},
				{Type: corev1.NodeHostName, Address: name},
			},
			DaemonEndpoints: corev1.NodeDaemonEndpoints{
				KubeletEndpoint: corev1.DaemonEndpoint{Port: int32(port)},
			},
			NodeInfo: corev1.NodeSystemInfo{
				OperatingSystem: "linux", Architecture: runtime.GOARCH,
				KubeletVersion: "simulated", ContainerRuntimeVersion: "kwok://simulated",
			},
		},
	}
}

// waitReady returns early when KWOK dies.
func (n *Nodes) waitReady(ctx context.Context) error {
	var last error
	err := wait.PollUntilContextCancel(ctx, readyInterval, true, func(ctx context.Context) (bool, error) {
		if !n.kwok.Running() {
			return false, n.kwok.Err()
		}
		for _, name := range n.names {
			if last = n.ready(ctx, name); last != nil {
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil {
		return errors.Join(fmt.Errorf("wait for nodes to be ready: %w", err), last)
	}
	return nil
}

func (n *Nodes) ready(ctx context.Context, name string) error {
	node, err := n.client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	isReady := func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	}
	if !slices.ContainsFunc(node.Status.Conditions, isReady) {
		return fmt.Errorf("node %q is not ready", name)
	}
	return nil
}
