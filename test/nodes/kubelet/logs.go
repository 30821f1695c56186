package kubelet

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// LogAfterAnnotation on a pod is a number of seconds: a followed log writes a second line
// that much later. Without it a followed log stays silent.
const LogAfterAnnotation = "test.loft.sh/log-after-seconds"

// serveLogs writes "hello from <pod>", and with follow stays until the client goes away.
func serveLogs(w http.ResponseWriter, r *http.Request, t target) {
	query := r.URL.Query()
	w.Header().Set("Content-Type", "text/plain")
	if query.Get("tailLines") != "0" {
		if _, err := io.WriteString(limited(w, query), logLine(t.pod, "hello", query)); err != nil {
			return
		}
	}
	if query.Get("follow") != "true" {
		return
	}
	if err := http.NewResponseController(w).Flush(); err != nil {
		return
	}
	follow(w, r, t.pod)
}

func follow(w http.ResponseWriter, r *http.Request, pod *corev1.Pod) {
	var later <-chan time.Time
	if seconds, err := strconv.Atoi(pod.Annotations[LogAfterAnnotation]); err == nil {
		timer := time.NewTimer(time.Duration(seconds) * time.Second)
		defer timer.Stop()
		later = timer.C
	}
	for {
		select {
		case <-r.Context().Done():
			return
		case <-later:
			if _, err := io.WriteString(w, logLine(pod, "later", r.URL.Query())); err != nil {
				return
			}
			if err := http.NewResponseController(w).Flush(); err != nil {
				return
			}
		}
	}
}

func logLine(pod *corev1.Pod, word string, query url.Values) string {
	line := fmt.Sprintf("%s from %s\n", word, pod.Name)
	if query.Get("timestamps") == "true" {
		return time.Now().UTC().Format(time.RFC3339Nano) + " " + line
	}
	return line
}

// limited writes no more than the query's limitBytes and takes the rest in silence.
func limited(w io.Writer, query url.Values) io.Writer {
	limit, err := strconv.Atoi(query.Get("limitBytes"))
	if err != nil {
		return w
	}
	return &limitedWriter{w: w, left: limit}
}

type limitedWriter struct {
	w    io.Writer
	left int
}

func (l *limitedWriter) Write(p []byte) (int, error) {
	kept := p[:min(l.left, len(p))]
	l.left -= len(kept)
	if _, err := l.w.Write(kept); err != nil {
		return 0, err
	}
	return len(p), nil
}
