package kubelet

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
)

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/exec/{namespace}/{pod}/{container}", s.forContainer(serveExec))
	mux.HandleFunc("/attach/{namespace}/{pod}/{container}", s.forContainer(serveAttach))
	mux.HandleFunc("/portForward/{namespace}/{pod}", s.forPod(servePortForward))
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", s.forContainer(serveLogs))
	return mux
}

// target is the pod that a request names, and what runs for it.
type target struct {
	pod *corev1.Pod
	dir string
}

type targetHandler func(http.ResponseWriter, *http.Request, target)

// forPod answers what a kubelet answers for a pod that it does not have: plain text,
// which kube-apiserver wraps into a status.
func (s *Server) forPod(serve targetHandler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		found, err := s.target(r.Context(), r.PathValue("namespace"), r.PathValue("pod"))
		if err != nil {
			http.Error(w, err.Error(), statusCode(err))
			return
		}
		serve(w, r, found)
	}
}

func (s *Server) forContainer(serve targetHandler) http.HandlerFunc {
	return s.forPod(func(w http.ResponseWriter, r *http.Request, t target) {
		name := r.PathValue("container")
		if !hasContainer(t.pod, name) {
			http.Error(w, fmt.Sprintf("container %q not found in pod %q", name, t.pod.Name), http.StatusNotFound)
			return
		}
		serve(w, r, t)
	})
}

// target makes the pod's scratch directory. The UID in its name keeps a pod from finding
// the files of an earlier one with the same name.
func (s *Server) target(ctx context.Context, namespace, name string) (target, error) {
	pod, err := s.cfg.Pod(ctx, namespace, name)
	if err != nil {
		return target{}, err
	}
	dir := filepath.Join(s.cfg.Dir, fmt.Sprintf("%s_%s_%s", pod.Namespace, pod.Name, pod.UID))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return target{}, fmt.Errorf("make scratch directory: %w", err)
	}
	return target{pod: pod, dir: dir}, nil
}

func statusCode(err error) int {
	if apierrors.IsNotFound(err) {
		return http.StatusNotFound
	}
	return http.StatusInternalServerError
}

func hasContainer(pod *corev1.Pod, name string) bool {
	named := func(c corev1.Container) bool { return c.Name == name }
	return slices.ContainsFunc(pod.Spec.Containers, named) ||
		slices.ContainsFunc(pod.Spec.InitContainers, named) ||
		slices.ContainsFunc(pod.Spec.EphemeralContainers, func(c corev1.EphemeralContainer) bool { return c.Name == name })
}

func serveExec(w http.ResponseWriter, r *http.Request, t target) {
	options, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	remotecommand.ServeExec(w, r, t, t.pod.Name, string(t.pod.UID), r.PathValue("container"),
		r.URL.Query()[commandParam], options, idleTimeout, creationTimeout, remotecommand.SupportedStreamingProtocols)
}

func serveAttach(w http.ResponseWriter, r *http.Request, t target) {
	options, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	remotecommand.ServeAttach(w, r, t, t.pod.Name, string(t.pod.UID), r.PathValue("container"),
		options, idleTimeout, creationTimeout, remotecommand.SupportedStreamingProtocols)
}

func servePortForward(w http.ResponseWriter, r *http.Request, t target) {
	options, err := portforward.NewV4Options(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	portforward.ServePortForward(w, r, t, t.pod.Name, string(t.pod.UID),
		options, idleTimeout, creationTimeout, portforward.SupportedProtocols)
}
