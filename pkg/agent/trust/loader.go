// Package trust keeps the agent's trust bundle current: the manager's public keys, this cluster's
// UID, and what has been revoked.
//
// What surprises: a new bundle that cannot be used changes nothing. The old one stays in force,
// the fault is logged and counted, and Problem says what it was. Without any bundle no direct
// token is accepted and the agent is not ready.
package trust

import (
	"bytes"
	"context"
	"errors"
	"os"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"loft.sh/agent/pkg/accesstoken"
)

// filePeriod is how often a bundle file is looked at. A mounted ConfigMap is swapped by symlink,
// which file notifications miss on some systems; reading a few KiB a second costs nothing.
const filePeriod = time.Second

// errMissing is the problem of a ConfigMap that is not there, or lacks the key.
var errMissing = errors.New("the ConfigMap has no key " + BundleKey)

// Loader watches the bundle's source.
type Loader struct {
	verifier *accesstoken.Verifier
	watch    func(context.Context)
	problem  atomic.Pointer[string]
	// inForce is the source of the bundle in force; only the goroutine of the source uses it.
	inForce []byte
}

// Run loads the bundle whenever it changes, until ctx is done.
func (l *Loader) Run(ctx context.Context) { l.watch(ctx) }

// Loaded says whether any bundle is in force.
func (l *Loader) Loaded() bool { return l.verifier.Bundle() != nil }

// Problem says why the newest bundle is not the one in force; empty: it is.
func (l *Loader) Problem() string {
	if problem := l.problem.Load(); problem != nil {
		return *problem
	}
	return ""
}

// accept puts a bundle in force. The one that is in force already changes nothing: it would empty
// the verifier's cache and have every open stream checked, for an annotation on the ConfigMap.
func (l *Loader) accept(data []byte) {
	if l.Loaded() && bytes.Equal(data, l.inForce) {
		l.problem.Store(nil)
		return
	}
	bundle, err := accesstoken.ParseBundle(data)
	if err != nil {
		l.reject(err)
		return
	}
	l.verifier.SetBundle(bundle)
	l.inForce = bytes.Clone(data)
	l.problem.Store(nil)
	loadedTimestamp.SetToCurrentTime()
	trustedKeys.Set(float64(len(bundle.JWKS.Keys)))
	klog.InfoS("Trust bundle loaded", "issuer", bundle.Issuer, "clusterUID", bundle.ClusterUID, "keys", len(bundle.JWKS.Keys))
}

func (l *Loader) reject(err error) {
	problem := err.Error()
	l.problem.Store(&problem)
	rejections.Inc()
	klog.ErrorS(err, "Trust bundle refused, the one in force is kept", "loaded", l.Loaded())
}

func (l *Loader) watchFile(path string) func(context.Context) {
	return func(ctx context.Context) {
		var last []byte
		var lastErr string
		wait.UntilWithContext(ctx, func(context.Context) {
			data, err := os.ReadFile(path)
			switch {
			case err != nil && err.Error() != lastErr:
				lastErr, last = err.Error(), nil
				l.reject(err)
			case err == nil && (last == nil || !bytes.Equal(data, last)):
				lastErr, last = "", data
				l.accept(data)
			}
		}, filePeriod)
	}
}

func (l *Loader) watchConfigMap(hostClient kubernetes.Interface, namespace, name string) func(context.Context) {
	return func(ctx context.Context) {
		factory := informers.NewSharedInformerFactoryWithOptions(hostClient, 0, informers.WithNamespace(namespace),
			informers.WithTweakListOptions(func(o *metav1.ListOptions) {
				o.FieldSelector = fields.OneTermEqualSelector("metadata.name", name).String()
			}))
		informer := factory.Core().V1().ConfigMaps().Informer()
		_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(o any) { l.configMap(o) },
			UpdateFunc: func(_, o any) { l.configMap(o) },
			// A deleted ConfigMap is a mistake or an attack on availability: the last bundle
			// stays, and tokens end with their own lifetimes.
			DeleteFunc: func(any) { l.reject(errMissing) },
		})
		if err != nil {
			l.reject(err)
			return
		}
		factory.StartWithContext(ctx)
		<-ctx.Done()
		factory.Shutdown()
	}
}

func (l *Loader) configMap(o any) {
	configMap, ok := o.(*corev1.ConfigMap)
	if !ok {
		return
	}
	data, ok := configMap.Data[BundleKey]
	if !ok {
		l.reject(errMissing)
		return
	}
	l.accept([]byte(data))
}
