package distance

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/workqueue"

	managementv1 "loft.sh/agent/apis/management/v1"
	"loft.sh/agent/test/controlplane"
	"loft.sh/agent/test/sandbox/central"
)

// The big list: 400 objects of 50 KiB.
const (
	bigNamespace = "distance-large"
	bigCount     = 400
	bigBytes     = 50 << 10
)

// job is one thing to do, by kubectl or over a connection that is open.
type job struct {
	what    string
	kubectl []string
	path    string
	// wantBytes is how long the answer is at least.
	wantBytes int
}

// work is done in this order; the third is quick enough to tell how long a way is.
var work = []job{
	{what: "`kubectl get ns`", kubectl: []string{"get", "ns"}, wantBytes: len("kube-system")},
	{what: "`kubectl get configmaps -o json`, 20 MB", kubectl: []string{"get", "configmaps", "-n", bigNamespace, "-o", "json"}, wantBytes: bigCount * bigBytes},
	{what: "GET of a namespace over an open connection", path: "/api/v1/namespaces/default", wantBytes: 1},
	{what: "LIST of 20 MB over an open connection", path: "/api/v1/namespaces/" + bigNamespace + "/configmaps", wantBytes: bigCount * bigBytes},
}

// seed makes the big list.
func (s *scene) seed(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(s.Connected(clusterName).Cluster().RESTConfig())
	if err != nil {
		return fmt.Errorf("client of the connected cluster: %w", err)
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: bigNamespace}}
	if _, err := client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("namespace %q: %w", bigNamespace, err)
	}
	errs := make([]error, bigCount)
	workqueue.ParallelizeUntil(ctx, 8, bigCount, func(i int) {
		_, errs[i] = client.CoreV1().ConfigMaps(bigNamespace).Create(ctx, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("object-%03d", i)},
			Data:       map[string]string{"data": strings.Repeat("0123456789abcdef", bigBytes/16)},
		}, metav1.CreateOptions{})
	})
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("objects of the big list: %w", err)
		}
	}
	return ctx.Err()
}

// directToken asks the manager for alice's token.
func (s *scene) directToken(ctx context.Context) (string, error) {
	w := &way{token: s.Key(central.Alice), ca: s.CAFile()}
	if err := w.connect(); err != nil {
		return "", err
	}
	const question = `{"kind":"DirectClusterEndpointToken","apiVersion":"management.loft.sh/v1"}`
	req, err := http.NewRequestWithContext(ctx, http.MethodPost,
		s.URL()+"/kubernetes/management/apis/management.loft.sh/v1/directclusterendpointtokens", strings.NewReader(question))
	if err != nil {
		return "", fmt.Errorf("ask for a direct token: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+w.token)
	body, err := w.do(req)
	if err != nil {
		return "", fmt.Errorf("ask for a direct token: %w", err)
	}
	var answer managementv1.DirectClusterEndpointToken
	if err := json.Unmarshal(body, &answer); err != nil {
		return "", fmt.Errorf("direct token: %w", err)
	}
	return answer.Status.Token, nil
}

// way is one way to the cluster.
type way struct {
	name, base, token, ca string
	dir, kubectl          string
	client                *http.Client
}

func (w *way) prepare() error {
	if err := os.MkdirAll(w.dir, 0o700); err != nil {
		return fmt.Errorf("directory of a way: %w", err)
	}
	if err := controlplane.WriteKubeconfig(w.kubeconfig(), "way", &rest.Config{
		Host: w.base, BearerToken: w.token, TLSClientConfig: rest.TLSClientConfig{CAFile: w.ca},
	}); err != nil {
		return err
	}
	return w.connect()
}

func (w *way) kubeconfig() string { return filepath.Join(w.dir, "kubeconfig") }

func (w *way) connect() error {
	pem, err := os.ReadFile(w.ca)
	if err != nil {
		return fmt.Errorf("certificate authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return fmt.Errorf("certificate authority %q: no certificate", w.ca)
	}
	w.client = &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true,
	}}
	return nil
}

// median does the job once to have caches and connections, then as often as asked.
func (w *way) median(ctx context.Context, j job, rounds int) (time.Duration, error) {
	var times []time.Duration
	for i := range rounds + 1 {
		began := time.Now()
		length, err := w.run(ctx, j)
		if err != nil {
			return 0, err
		}
		if length < j.wantBytes {
			return 0, fmt.Errorf("the answer has %d bytes, want %d or more", length, j.wantBytes)
		}
		if i > 0 {
			times = append(times, time.Since(began))
		}
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}

func (w *way) run(ctx context.Context, j job) (length int, err error) {
	if j.kubectl != nil {
		cmd := exec.CommandContext(ctx, w.kubectl, append([]string{"--kubeconfig=" + w.kubeconfig()}, j.kubectl...)...)
		cmd.Env = append(os.Environ(), "KUBECACHEDIR="+filepath.Join(w.dir, "cache"))
		var complaints bytes.Buffer
		cmd.Stderr = &complaints
		out, err := cmd.Output()
		if err != nil {
			return 0, fmt.Errorf("kubectl: %w\n%s", err, &complaints)
		}
		return len(out), nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.base+j.path, nil)
	if err != nil {
		return 0, fmt.Errorf("request: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+w.token)
	body, err := w.do(req)
	return len(body), err
}

func (w *way) do(req *http.Request) ([]byte, error) {
	res, err := w.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("answer: %w", err)
	}
	if res.StatusCode >= http.StatusMultipleChoices {
		return nil, fmt.Errorf("answer %s: %s", res.Status, body)
	}
	return body, nil
}
