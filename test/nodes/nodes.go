package nodes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"loft.sh/agent/test/controlplane"
	"loft.sh/agent/test/nodes/kubelet"
)

// stopGrace is how long KWOK may take to end before it is killed.
const stopGrace = 5 * time.Second

// Options says what [Start] starts.
type Options struct {
	// Kubeconfig is the path of a cluster administrator's kubeconfig.
	Kubeconfig string
	// Dir is what APIServerArgs was called with. It keeps keys, KWOK's log and the scratch
	// directories of the pods.
	Dir string
	// Count is the number of nodes; the default is 1.
	Count int
	// Log takes what is built and what goes wrong later; nil means silence. It is
	// written to by several goroutines, one at a time.
	Log io.Writer
}

func (o *Options) complete() (err error) {
	if o.Count < 1 {
		o.Count = 1
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	o.Log = &serialWriter{w: o.Log}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return fmt.Errorf("directory of nodes: %w", err)
	}
	if o.Kubeconfig, err = filepath.Abs(o.Kubeconfig); err != nil {
		return fmt.Errorf("kubeconfig of nodes: %w", err)
	}
	return nil
}

// Nodes are running nodes. The Node objects stay in the cluster when they are stopped, and
// are taken over by the next Start.
type Nodes struct {
	names   []string
	client  kubernetes.Interface
	kubelet *kubelet.Server
	kwok    *controlplane.Process

	cancel context.CancelFunc
	binder errgroup.Group
	stop   sync.Once
	err    error
}

// Start builds KWOK where needed and returns once all nodes are Ready. The context bounds the
// start only. After an error nothing runs.
func Start(ctx context.Context, opts Options) (*Nodes, error) {
	if err := opts.complete(); err != nil {
		return nil, err
	}
	program, err := BuildKWOK(ctx, opts.Log)
	if err != nil {
		return nil, err
	}
	config, err := clientcmd.BuildConfigFromFlags("", opts.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("load kubeconfig of nodes: %w", err)
	}
	config.QPS = -1
	hostClient, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make client of nodes: %w", err)
	}
	n := &Nodes{client: hostClient}
	for i := range opts.Count {
		n.names = append(n.names, fmt.Sprintf("node-%d", i+1))
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	n.cancel = cancel
	if err := n.launch(ctx, program, opts); err != nil {
		return nil, errors.Join(fmt.Errorf("start nodes: %w", err), n.Stop())
	}
	b := &binder{client: hostClient, nodes: n.names, log: opts.Log}
	n.binder.Go(func() error { return b.run(running) })
	return n, nil
}

func (n *Nodes) launch(ctx context.Context, program string, opts Options) (err error) {
	if n.kubelet, err = startKubelet(n.client, opts); err != nil {
		return err
	}
	for _, name := range n.names {
		if err := register(ctx, n.client, name, n.kubelet.Port()); err != nil {
			return err
		}
	}
	if n.kwok, err = startKWOK(program, opts); err != nil {
		return err
	}
	return n.waitReady(ctx)
}

func startKubelet(hostClient kubernetes.Interface, opts Options) (*kubelet.Server, error) {
	ca, certificate, err := servingKeys(opts.Dir)
	if err != nil {
		return nil, err
	}
	return kubelet.Start(kubelet.Config{
		Certificate: certificate,
		ClientCA:    ca.Pool(),
		Pod: func(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
			return hostClient.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
		},
		Dir: filepath.Join(opts.Dir, "pods"),
		Log: log.New(opts.Log, "kubelet: ", 0),
	})
}

// Names returns the names of the nodes.
func (n *Nodes) Names() []string { return n.names }

// Err returns nil while the nodes live and after Stop.
func (n *Nodes) Err() error { return n.kwok.Err() }

// Stop ends the nodes, their streams and the commands that run in their pods. Calling it
// again returns the same.
func (n *Nodes) Stop() error {
	n.stop.Do(func() {
		n.cancel()
		n.err = n.binder.Wait()
		if n.kwok != nil {
			n.err = errors.Join(n.err, n.kwok.Stop(stopGrace))
		}
		if n.kubelet != nil {
			n.err = errors.Join(n.err, n.kubelet.Close())
		}
	})
	return n.err
}

// serialWriter lets one goroutine write at a time.
type serialWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *serialWriter) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(p)
}
