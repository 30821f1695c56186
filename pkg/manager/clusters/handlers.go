package clusters

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/tools/cache"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/pkg/manager/bindings"
)

// listen has changes lead to work, until what it returns is called.
func (c *Controller) listen() (stop func(), err error) {
	var stops []func() error
	stop = func() {
		for _, one := range stops {
			// The informer of a program that ends may have ended before.
			_ = one()
		}
	}
	informers := c.informers()
	for name, handler := range map[string]cache.ResourceEventHandler{
		"clusters":        cache.ResourceEventHandlerFuncs{AddFunc: c.clusterAdded, UpdateFunc: c.clusterUpdated, DeleteFunc: c.clusterDeleted},
		"clusteraccesses": handle(c.accessChanged),
		"users":           handle(c.userChanged),
		"teams":           handle(c.teamChanged),
		"secrets":         handle(c.secretChanged),
	} {
		registration, addErr := informers[name].AddEventHandler(handler)
		if addErr != nil {
			err = errors.Join(err, fmt.Errorf("listen to %s: %w", name, addErr))
			continue
		}
		stops = append(stops, func() error { return informers[name].RemoveEventHandler(registration) })
	}
	if err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}

// handle calls changed with what an object was and is, either of which is nil where there is none.
// What was there from the beginning is no change: every cluster is worked on then.
func handle[T any](changed func(before, after *T)) cache.ResourceEventHandler {
	of := func(object any) *T {
		if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
			object = tombstone.Obj
		}
		typed, _ := object.(*T)
		return typed
	}
	return cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(object any, isInInitialList bool) {
			if !isInInitialList {
				changed(nil, of(object))
			}
		},
		UpdateFunc: func(before, after any) { changed(of(before), of(after)) },
		DeleteFunc: func(object any) { changed(of(object), nil) },
	}
}

func (c *Controller) clusterAdded(object any) {
	if cluster, ok := object.(*storagev1.Cluster); ok {
		c.addAll(cluster.Name)
	}
}

// clusterUpdated leaves out what is about the status alone, which is written here.
func (c *Controller) clusterUpdated(before, after any) {
	old, wasCluster := before.(*storagev1.Cluster)
	cluster, isCluster := after.(*storagev1.Cluster)
	if !wasCluster || !isCluster {
		return
	}
	if old.UID != cluster.UID {
		c.forget(old)
	}
	if !agentReady(old) && agentReady(cluster) {
		// What was not there when it was asked for may be now.
		c.endpoint.Add(cluster.Name)
	}
	if old.UID == cluster.UID && old.Generation == cluster.Generation && maps.Equal(old.Annotations, cluster.Annotations) &&
		old.DeletionTimestamp.Equal(cluster.DeletionTimestamp) && slices.Equal(old.Finalizers, cluster.Finalizers) {
		return
	}
	c.addAll(cluster.Name)
}

func agentReady(cluster *storagev1.Cluster) bool {
	return meta.IsStatusConditionTrue(cluster.Status.Conditions, storagev1.ConditionAgentReady)
}

func (c *Controller) clusterDeleted(object any) {
	if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = tombstone.Obj
	}
	if cluster, ok := object.(*storagev1.Cluster); ok {
		c.forget(cluster)
	}
}

func (c *Controller) addAll(name string) {
	c.agent.Add(name)
	c.trust.Add(name)
	c.access.Add(name)
	c.endpoint.Add(name)
}

// accessChanged works on the clusters that it was about and is about.
func (c *Controller) accessChanged(before, after *storagev1.ClusterAccess) {
	if before != nil && after != nil && before.Generation == after.Generation && before.UID == after.UID {
		return
	}
	for _, access := range []*storagev1.ClusterAccess{before, after} {
		if access != nil {
			c.addAccess(access)
		}
	}
}

func (c *Controller) addAccess(access *storagev1.ClusterAccess) {
	c.bound.look(access.Name)
	for _, cluster := range c.clusters() {
		if bindings.Names(access, cluster.Name) {
			c.access.Add(cluster.Name)
		}
	}
}

func (c *Controller) userChanged(before, after *storagev1.User) {
	if before != nil && after != nil && before.Spec.Disabled == after.Spec.Disabled {
		return
	}
	name := nameOf(before, after)
	for _, access := range c.accesses() {
		if slices.Contains(access.Spec.Users, name) {
			c.addAccess(access)
		}
	}
}

func (c *Controller) teamChanged(before, after *storagev1.Team) {
	if before != nil && after != nil && before.Spec.Disabled == after.Spec.Disabled {
		return
	}
	name := nameOf(before, after)
	for _, access := range c.accesses() {
		if slices.Contains(access.Spec.Teams, name) {
			c.addAccess(access)
		}
	}
}

func nameOf[T any, P interface {
	*T
	metav1.Object
}](before, after P) string {
	if after != nil {
		return after.GetName()
	}
	return before.GetName()
}

// secretChanged works on the clusters whose kubeconfig it holds.
func (c *Controller) secretChanged(before, after *corev1.Secret) {
	if before != nil && after != nil && before.ResourceVersion == after.ResourceVersion {
		return
	}
	names := sets.New[string]()
	namespace := ""
	for _, secret := range []*corev1.Secret{before, after} {
		if secret != nil {
			names.Insert(secret.Name)
			namespace = secret.Namespace
		}
	}
	for _, cluster := range c.clusters() {
		if key := c.Connections.SecretKey(cluster); key.Namespace == namespace && names.Has(key.Name) {
			c.addAll(cluster.Name)
		}
	}
}
