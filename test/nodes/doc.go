// Package nodes gives a control plane of package controlplane nodes whose pods run, without
// containers. KWOK plays the life of nodes and pods, a binder stands in for the scheduler,
// and package kubelet answers exec, attach, port-forward and logs by local means. Integration
// tests and the sandbox program use it, so it never imports testing.
//
// The API server has to know the key that opens the kubelets before it starts:
//
//	args, err := nodes.APIServerArgs(dir)
//	cp, err := controlplane.Start(ctx, controlplane.Options{ExtraAPIServerArgs: args, ...})
//	n, err := nodes.Start(ctx, nodes.Options{Dir: dir, Kubeconfig: cp.AdminKubeconfig()})
//
// What may surprise:
//   - KWOK is compiled from the module in test/nodes/kwok on first use, which takes minutes.
//   - All nodes are one kubelet endpoint on 127.0.0.1. It runs commands as this user, so it
//     serves only the API server that was started with APIServerArgs of the same directory.
//   - The binder spreads pods over the nodes in turn and knows no resources, taints or
//     selectors, except the node that a DaemonSet names. kube-scheduler must not run as well.
//   - The pod of a Job succeeds as soon as it runs, unless its command is sleep. A pod IP leads
//     nowhere.
package nodes
