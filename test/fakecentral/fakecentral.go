// Package fakecentral is a client of a fake central cluster, for tests of what the manager does with
// custom resources.
//
// What surprises: the generated fake client knows no server-side apply of custom resources and panics
// when a watcher falls behind. Here a status that is applied is put together from what each field
// manager applied last, which is the same as long as managers share no field but the list of
// conditions; and writers wait for watchers.
package fakecentral

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	clienttesting "k8s.io/client-go/testing"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/generated/clientset/versioned/fake"
)

// Client is the fake client.
type Client struct {
	*fake.Clientset
	lock     sync.Mutex
	version  int
	applied  map[string]map[string]map[string]any // by resource and name, by field manager
	watchers map[string]*watch.Broadcaster
}

// New returns a client of a cluster with objects.
func New(objects ...runtime.Object) *Client {
	c := &Client{
		Clientset: fake.NewSimpleClientset(objects...), applied: map[string]map[string]map[string]any{}, watchers: map[string]*watch.Broadcaster{},
	}
	for _, verb := range []string{"create", "update", "patch", "delete"} {
		c.PrependReactor(verb, "*", c.react)
	}
	c.PrependWatchReactor("*", c.watch)
	return c
}

func (c *Client) watch(action clienttesting.Action) (bool, watch.Interface, error) {
	watcher, err := c.broadcaster(action.GetResource()).Watch()
	return true, watcher, err
}

func (c *Client) broadcaster(resource schema.GroupVersionResource) *watch.Broadcaster {
	c.lock.Lock()
	defer c.lock.Unlock()
	if c.watchers[resource.Resource] == nil {
		c.watchers[resource.Resource] = watch.NewBroadcaster(1000, watch.WaitIfChannelFull)
	}
	return c.watchers[resource.Resource]
}

// react writes, and tells watchers.
func (c *Client) react(action clienttesting.Action) (bool, runtime.Object, error) {
	resource := action.GetResource()
	broadcaster := c.broadcaster(resource)
	c.lock.Lock()
	defer c.lock.Unlock()
	var object runtime.Object
	var err error
	event := watch.Modified
	switch a := action.(type) {
	case clienttesting.PatchActionImpl:
		object, err = c.apply(a)
	case clienttesting.DeleteActionImpl:
		event = watch.Deleted
		if object, err = c.Tracker().Get(resource, "", a.Name); err == nil {
			err = c.Tracker().Delete(resource, "", a.Name)
		}
	case clienttesting.CreateActionImpl:
		event, object = watch.Added, a.Object.DeepCopyObject()
		c.bump(object)
		err = c.Tracker().Create(resource, object, "")
	case clienttesting.UpdateActionImpl:
		object, event, err = c.update(a)
	}
	if err != nil {
		return true, nil, err
	}
	return true, object, broadcaster.Action(event, object.DeepCopyObject())
}

// update refuses what is not the newest, and deletes what waited for its last finalizer.
func (c *Client) update(a clienttesting.UpdateActionImpl) (runtime.Object, watch.EventType, error) {
	object := a.Object.DeepCopyObject()
	accessor, err := meta.Accessor(object)
	if err != nil {
		return nil, "", err
	}
	known, err := c.Tracker().Get(a.GetResource(), "", accessor.GetName())
	if err != nil {
		return nil, "", err
	}
	before, err := meta.Accessor(known)
	if err != nil {
		return nil, "", err
	}
	if version := accessor.GetResourceVersion(); version != "" && version != before.GetResourceVersion() {
		return nil, "", apierrors.NewConflict(a.GetResource().GroupResource(), accessor.GetName(), fmt.Errorf("it has changed"))
	}
	c.bump(object)
	if accessor.GetDeletionTimestamp() != nil && len(accessor.GetFinalizers()) == 0 {
		return object, watch.Deleted, c.Tracker().Delete(a.GetResource(), "", accessor.GetName())
	}
	return object, watch.Modified, c.Tracker().Update(a.GetResource(), object, "")
}

// apply merges what each field manager applied to a status.
func (c *Client) apply(a clienttesting.PatchActionImpl) (runtime.Object, error) {
	if a.GetPatchType() != types.ApplyPatchType || a.GetSubresource() != "status" {
		return nil, fmt.Errorf("fake central cluster: %s of %q is not known", a.GetPatchType(), a.GetSubresource())
	}
	object, err := c.Tracker().Get(a.GetResource(), "", a.GetName())
	if err != nil {
		return nil, err
	}
	object = object.DeepCopyObject()
	var patch struct {
		Status map[string]any `json:"status"`
	}
	if err := json.Unmarshal(a.GetPatch(), &patch); err != nil {
		return nil, err
	}
	key := a.GetResource().Resource + "/" + a.GetName()
	if c.applied[key] == nil {
		c.applied[key] = map[string]map[string]any{}
	}
	c.applied[key][a.PatchOptions.FieldManager] = patch.Status
	if err := setStatus(object, merged(c.applied[key])); err != nil {
		return nil, err
	}
	c.bump(object)
	return object, c.Tracker().Update(a.GetResource(), object, "")
}

func merged(byManager map[string]map[string]any) map[string]any {
	status, conditions := map[string]any{}, []any{}
	for _, manager := range slices.Sorted(maps.Keys(byManager)) {
		part := maps.Clone(byManager[manager])
		own, _ := part["conditions"].([]any)
		conditions = append(conditions, own...)
		delete(part, "conditions")
		maps.Copy(status, part)
	}
	if len(conditions) > 0 {
		status["conditions"] = conditions
	}
	return status
}

func setStatus(object runtime.Object, status map[string]any) error {
	data, err := json.Marshal(status)
	if err != nil {
		return err
	}
	switch o := object.(type) {
	case *storagev1.Cluster:
		o.Status = storagev1.ClusterStatus{}
		return json.Unmarshal(data, &o.Status)
	case *storagev1.ClusterAccess:
		o.Status = storagev1.ClusterAccessStatus{}
		return json.Unmarshal(data, &o.Status)
	}
	return fmt.Errorf("fake central cluster: the status of %T is not known", object)
}

func (c *Client) bump(object runtime.Object) {
	c.version++
	if accessor, err := meta.Accessor(object); err == nil {
		accessor.SetResourceVersion(strconv.Itoa(c.version))
		if accessor.GetUID() == "" {
			accessor.SetUID(types.UID("uid-of-" + accessor.GetName()))
		}
		if accessor.GetCreationTimestamp() == (metav1.Time{}) {
			accessor.SetCreationTimestamp(metav1.Unix(int64(c.version), 0))
		}
	}
}
