package clusters

import (
	"net/http"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/pkg/manager/bindings"
	"loft.sh/agent/test/fakehost"
)

// slowly looks again so seldom that only changes count.
func slowly() Options {
	options := quick()
	options.ResyncPeriod, options.ProbePeriod = 1000*options.ResyncPeriod, 1000*options.ProbePeriod
	return options
}

func viewers(generation int64, users ...string) *storagev1.ClusterAccess {
	return &storagev1.ClusterAccess{
		ObjectMeta: metav1.ObjectMeta{Name: "viewers", UID: "viewers", Generation: generation},
		Spec:       storagev1.ClusterAccessSpec{Clusters: []string{"eu"}, Users: users, ClusterRole: "view"},
	}
}

func user(name string, disabled bool) *storagev1.User {
	return &storagev1.User{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: storagev1.UserSpec{Disabled: disabled}}
}

// may says whether the name is a subject of the endpoint's binding and of one for view.
func may(host *fakehost.Host, name string, want bool) func() bool {
	return func() bool {
		endpoint := strings.Contains(text(host, endpointPath), "loft:user:"+name)
		view := false
		for _, path := range host.Paths(rolesPath + "loft-access-viewers-") {
			view = view || strings.Contains(text(host, path), "loft:user:"+name)
		}
		return endpoint == want && view == want
	}
}

func TestAccessIsGivenAndTakenAtOnce(t *testing.T) {
	w := newWorld(t, slowly(), user("alice", false), user("bob", false))
	host, cluster := w.add(t, "eu")
	w.create(t, cluster)
	w.run(t)
	w.await(t, "eu", storagev1.ConditionAccessSynced, "True Bound")
	accesses, users := w.central.StorageV1().ClusterAccesses(), w.central.StorageV1().Users()
	if _, err := accesses.Create(t.Context(), viewers(1, "alice"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, "access of alice", may(host, "alice", true))
	if _, err := accesses.Update(t.Context(), viewers(2, "bob"), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, "access of bob in place of alice", func() bool { return may(host, "bob", true)() && may(host, "alice", false)() })
	if _, err := users.Update(t.Context(), user("bob", true), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, "the end of a disabled user's access", may(host, "bob", false))
	if _, err := users.Update(t.Context(), user("bob", false), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, "access of bob again", may(host, "bob", true))
	if err := accesses.Delete(t.Context(), "viewers", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, "the end of bob's access", may(host, "bob", false))
}

func TestRefusedBindingIsShown(t *testing.T) {
	w := newWorld(t, quick(), user("alice", false), viewers(1, "alice"))
	host, cluster := w.add(t, "eu")
	name := bindings.Wanted("eu", []*storagev1.ClusterAccess{viewers(1, "*")}, nil)[1].Name
	host.Answer(http.MethodPatch, rolesPath+name, answer(403, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,"message":"not held"}`))
	w.create(t, cluster)
	w.run(t)
	w.await(t, "eu", storagev1.ConditionAccessSynced, "False "+bindings.ReasonBindingRefused)
	await(t, "the access's own condition", func() bool { return boundStatus(t, w) == metav1.ConditionFalse })
	host.Answer(http.MethodPatch, rolesPath+name, nil)
	w.await(t, "eu", storagev1.ConditionAccessSynced, "True Bound")
	await(t, "the access's own condition", func() bool { return boundStatus(t, w) == metav1.ConditionTrue })
}

func boundStatus(t *testing.T, w *world) metav1.ConditionStatus {
	t.Helper()
	access, err := w.central.StorageV1().ClusterAccesses().Get(t.Context(), "viewers", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	condition := meta.FindStatusCondition(access.Status.Conditions, storagev1.ConditionBound)
	if condition == nil {
		return ""
	}
	return condition.Status
}

func TestAccessToAClusterThatIsNotThere(t *testing.T) {
	w := newWorld(t, quick(), user("alice", false), viewers(1, "alice"))
	w.run(t)
	w.controller.bound.look("viewers")
	await(t, "the access's own condition", func() bool { return boundStatus(t, w) == metav1.ConditionFalse })
}
