// Package controlplane runs a real Kubernetes control plane on the loopback
// interface: etcd, kube-apiserver and, where asked for, kube-controller-manager.
// Integration tests and the sandbox program use it, so it never imports testing.
//
// Nothing is downloaded as a binary. [BuildBinaries] compiles the programs from the Go
// module in test/controlplane/binaries and keeps them in the user's cache directory:
// the first call takes minutes and says how far it is, later calls take milliseconds.
// [Start] brings one control plane up with its own certificate authorities and ports,
// so any number of them run side by side, and [ControlPlane.Stop] ends it.
//
// What may surprise:
//   - The context of Start bounds the start only; what was started runs until Stop.
//   - Every program is killed by the kernel when this process ends, however it ends
//     (on Linux; elsewhere Stop must be called).
//   - There are no nodes: pods stay Pending, and cluster IPs lead nowhere. An
//     aggregated API server outside the cluster is reached through a Service of type
//     ExternalName with the name "localhost".
//   - Without the controller manager no namespace gets a service account or root CA,
//     and a deleted namespace stays Terminating.
//   - A failed start leaves the logs behind, since its error points to them.
package controlplane
