// Package kubelet answers the requests that kube-apiserver sends to a node: exec,
// attach, port-forward and logs. The protocols are the kubelet's own code
// (k8s.io/cri-streaming); there are no containers behind them.
//
// A command that is executed in a pod runs as a local process of this user, in a scratch
// directory of the pod. So a [Server] listens on the loopback interface only and serves
// nobody but the holders of a certificate of [Config].ClientCA.
//
// What may surprise:
//   - Paths are the machine's own: `kubectl cp` must name a path relative to the scratch
//     directory, an absolute one is not confined.
//   - A command ends with the connection that started it. A real kubelet would let it run.
//   - A port of a pod is that port on 127.0.0.1.
//   - A log is one line that greets, and with follow it stays open; see [LogAfterAnnotation].
package kubelet
