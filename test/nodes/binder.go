package nodes

import (
	"context"
	"fmt"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// retryInterval is when a pod that could not be bound is tried again.
const retryInterval = 5 * time.Second

// binder gives pods a node, in turn.
type binder struct {
	client kubernetes.Interface
	nodes  []string
	log    io.Writer
	next   int
}

// run watches the pods without a node until ctx ends. Events come one after the other.
func (b *binder) run(ctx context.Context) error {
	factory := informers.NewSharedInformerFactoryWithOptions(b.client, retryInterval,
		informers.WithTweakListOptions(func(options *metav1.ListOptions) {
			options.FieldSelector = fields.OneTermEqualSelector("spec.nodeName", "").String()
		}))
	_, err := factory.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { b.bind(ctx, obj.(*corev1.Pod)) },
		UpdateFunc: func(_, obj any) { b.bind(ctx, obj.(*corev1.Pod)) },
	})
	if err != nil {
		return fmt.Errorf("watch pods without a node: %w", err)
	}
	factory.StartWithContext(ctx)
	<-ctx.Done()
	factory.Shutdown()
	return nil
}

func (b *binder) bind(ctx context.Context, pod *corev1.Pod) {
	if pod.DeletionTimestamp != nil || len(pod.Spec.SchedulingGates) > 0 {
		return
	}
	binding := &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
		Target:     corev1.ObjectReference{Kind: "Node", Name: b.node(pod)},
	}
	err := b.client.CoreV1().Pods(pod.Namespace).Bind(ctx, binding, metav1.CreateOptions{})
	switch {
	case err == nil, ctx.Err() != nil:
	case apierrors.IsNotFound(err), apierrors.IsConflict(err): // deleted or bound meanwhile
	default:
		fmt.Fprintf(b.log, "bind pod %s/%s: %v\n", pod.Namespace, pod.Name, err)
	}
}

// node follows a DaemonSet, which names the node in a required affinity: on another node
// its controller would delete the pod and make it again, for ever.
func (b *binder) node(pod *corev1.Pod) string {
	if affinity := pod.Spec.Affinity; affinity != nil && affinity.NodeAffinity != nil {
		if required := affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution; required != nil {
			for _, term := range required.NodeSelectorTerms {
				for _, field := range term.MatchFields {
					if field.Key == metav1.ObjectNameField && len(field.Values) == 1 {
						return field.Values[0]
					}
				}
			}
		}
	}
	name := b.nodes[b.next%len(b.nodes)]
	b.next++
	return name
}
