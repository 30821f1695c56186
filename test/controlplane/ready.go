package controlplane

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
)

const (
	probeInterval = 50 * time.Millisecond
	probeTimeout  = 5 * time.Second
)

// waitReady probes a program until it is ready, has died or takes too long.
func waitReady(ctx context.Context, p *Process, probe func(context.Context) error) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, probeInterval, readyTimeout, true, func(ctx context.Context) (bool, error) {
		if !p.Running() {
			return false, p.Err()
		}
		ctx, cancel := context.WithTimeout(ctx, probeTimeout)
		defer cancel()
		last = probe(ctx)
		return last == nil, nil
	})
	switch {
	case err == nil:
		return nil
	case !p.Running():
		return err
	default:
		return fmt.Errorf("wait for %s to be ready: %w; its last answer: %w; its log: %s",
			p.Name(), err, last, p.LogFile())
	}
}

func (c *ControlPlane) waitEtcd(ctx context.Context) error {
	config, err := c.pki.etcdTLS()
	if err != nil {
		return err
	}
	return waitReady(ctx, c.etcd, probeURL(httpsURL(c.ports.etcdClient)+"/readyz", config))
}

// waitAPIServer waits for /readyz and for the namespaces that the API server itself makes
// a moment later.
func (c *ControlPlane) waitAPIServer(ctx context.Context) error {
	hostClient, err := kubernetes.NewForConfig(c.RESTConfig())
	if err != nil {
		return fmt.Errorf("make admin client: %w", err)
	}
	return waitReady(ctx, c.apiServer, func(ctx context.Context) error {
		if err := hostClient.RESTClient().Get().AbsPath("/readyz").Do(ctx).Error(); err != nil {
			return err
		}
		for _, namespace := range []string{metav1.NamespaceDefault, metav1.NamespaceSystem} {
			if _, err := hostClient.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{}); err != nil {
				return err
			}
		}
		return nil
	})
}

// waitControllerManager waits until its controllers work, told by a service account.
func (c *ControlPlane) waitControllerManager(ctx context.Context) error {
	hostClient, err := kubernetes.NewForConfig(c.RESTConfig())
	if err != nil {
		return fmt.Errorf("make admin client: %w", err)
	}
	healthy := probeURL(httpsURL(c.ports.controllerManager)+"/healthz", &tls.Config{RootCAs: c.pki.cluster.Pool()})
	return waitReady(ctx, c.controllerManager, func(ctx context.Context) error {
		if err := healthy(ctx); err != nil {
			return err
		}
		_, err := hostClient.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
}

func probeURL(url string, config *tls.Config) func(context.Context) error {
	// A connection per probe: none is left open once the program is ready.
	httpClient := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := httpClient.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("GET %s: %s", url, response.Status)
		}
		return nil
	}
}
