package workload

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"testing"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"
)

// errCrash is what every request gets after the crash.
var errCrash = errors.New("the agent is gone")

// fakeCluster is an API server that holds patches to resource versions, and before which an agent may
// crash.
type fakeCluster struct {
	t      *testing.T
	client *dynamicfake.FakeDynamicClient
	// crashIn is how many writes from now the agent crashes; negative: never.
	crashIn int
	version int
	// before runs before each patch of the agent.
	before func(name string)
	// refuse says what is wrong with a patch, by "resource/name".
	refuse map[string]error
}

var kinds = map[schema.GroupVersionResource]string{
	deployments: "DeploymentList", statefulSets: "StatefulSetList", replicaSets: "ReplicaSetList", daemonSets: "DaemonSetList",
	controllers: "ReplicationControllerList", cronJobs: "CronJobList", jobs: "JobList", autoscalers: "HorizontalPodAutoscalerList",
	scaled: "ScaledObjectList", quotas: "ResourceQuotaList", pods: "PodList",
}

func newFakeCluster(t *testing.T) *fakeCluster {
	c := &fakeCluster{t: t, client: dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), kinds), crashIn: -1, refuse: map[string]error{}}
	c.client.PrependReactor("patch", "*", c.patch)
	c.client.PrependReactor("create", "*", c.crash)
	c.client.PrependReactor("delete", "*", c.crash)
	return c
}

func (c *fakeCluster) crash(clienttesting.Action) (bool, runtime.Object, error) {
	if c.crashIn == 0 {
		return true, nil, errCrash
	}
	c.crashIn--
	return false, nil, nil
}

// patch is a merge patch of the object or of its scale, whose replicas are in the same place.
func (c *fakeCluster) patch(action clienttesting.Action) (bool, runtime.Object, error) {
	patch := action.(clienttesting.PatchAction)
	if c.crashIn == 0 {
		return true, nil, errCrash
	}
	c.crashIn--
	if c.before != nil {
		c.before(patch.GetName())
	}
	resource := patch.GetResource()
	if err := c.refuse[resource.Resource+"/"+patch.GetName()]; err != nil {
		return true, nil, err
	}
	object, err := c.client.Tracker().Get(resource, "team-a", patch.GetName())
	if err != nil {
		return true, nil, err
	}
	current := object.(*unstructured.Unstructured)
	var wanted metav1.PartialObjectMetadata
	if err := json.Unmarshal(patch.GetPatch(), &wanted); err != nil {
		c.t.Fatal(err)
	}
	if wanted.ResourceVersion != "" && wanted.ResourceVersion != current.GetResourceVersion() {
		return true, nil, apierrors.NewConflict(resource.GroupResource(), patch.GetName(), errors.New("changed"))
	}
	data, err := current.MarshalJSON()
	if err != nil {
		c.t.Fatal(err)
	}
	merged, err := jsonpatch.MergePatch(data, patch.GetPatch())
	if err != nil {
		c.t.Fatal(err)
	}
	result := &unstructured.Unstructured{}
	if err := result.UnmarshalJSON(merged); err != nil {
		c.t.Fatal(err)
	}
	c.put(resource, result)
	return true, result, nil
}

// put stores an object in a new version.
func (c *fakeCluster) put(resource schema.GroupVersionResource, object *unstructured.Unstructured) {
	c.version++
	object.SetResourceVersion(strconv.Itoa(c.version))
	err := c.client.Tracker().Update(resource, object.DeepCopy(), "team-a")
	if apierrors.IsNotFound(err) {
		err = c.client.Tracker().Create(resource, object.DeepCopy(), "team-a")
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *fakeCluster) get(resource schema.GroupVersionResource, name string) *unstructured.Unstructured {
	c.t.Helper()
	object, err := c.client.Tracker().Get(resource, "team-a", name)
	if err != nil {
		c.t.Fatal(err)
	}
	return object.(*unstructured.Unstructured).DeepCopy()
}

func (c *fakeCluster) exists(resource schema.GroupVersionResource, name string) bool {
	_, err := c.client.Tracker().Get(resource, "team-a", name)
	return err == nil
}

// add adds an object; text is its spec, as JSON.
func (c *fakeCluster) add(resource schema.GroupVersionResource, name, text string, change ...func(*unstructured.Unstructured)) {
	c.t.Helper()
	var spec map[string]any
	decoder := &unstructured.Unstructured{}
	if err := decoder.UnmarshalJSON(fmt.Appendf(nil, `{"kind":"x","apiVersion":"v1","spec":%s}`, text)); err != nil {
		c.t.Fatal(err)
	}
	spec, _, _ = unstructured.NestedMap(decoder.Object, "spec")
	kind := kinds[resource]
	object := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	object.SetAPIVersion(resource.GroupVersion().String())
	object.SetKind(kind[:len(kind)-len("List")])
	object.SetName(name)
	object.SetNamespace("team-a")
	object.SetUID(types.UID(resource.Resource + "/" + name))
	for _, one := range change {
		one(object)
	}
	c.put(resource, object)
}

func annotated(key, value string) func(*unstructured.Unstructured) {
	return func(o *unstructured.Unstructured) {
		notes := o.GetAnnotations()
		if notes == nil {
			notes = map[string]string{}
		}
		notes[key] = value
		o.SetAnnotations(notes)
	}
}

func ownedBy(resource schema.GroupVersionResource, name string) func(*unstructured.Unstructured) {
	controls := true
	return func(o *unstructured.Unstructured) {
		o.SetOwnerReferences([]metav1.OwnerReference{{Kind: "x", Name: name, UID: types.UID(resource.Resource + "/" + name), Controller: &controls}})
	}
}

func (c *fakeCluster) replicas(resource schema.GroupVersionResource, name string) int64 {
	n, _, err := unstructured.NestedInt64(c.get(resource, name).Object, "spec", "replicas")
	if err != nil {
		c.t.Fatal(err)
	}
	return n
}
