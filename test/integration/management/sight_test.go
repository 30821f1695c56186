package management

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	storagev1 "loft.sh/agent/apis/storage/v1"
)

// watching reads events of a watch until the test ends.
func watching(t *testing.T, key, path string) <-chan map[string]any {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, env.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+key)
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		t.Fatal(response.Status)
	}
	events := make(chan map[string]any, 100)
	go func() {
		defer close(events)
		lines := bufio.NewScanner(response.Body)
		for lines.Scan() {
			var event map[string]any
			if json.Unmarshal(lines.Bytes(), &event) == nil {
				events <- event
			}
		}
	}()
	t.Cleanup(func() { cancel(); _ = response.Body.Close() })
	return events
}

// names are those of the clusters that somebody is shown.
func names(t *testing.T, key, resource string) string {
	t.Helper()
	a := ask(t, key, http.MethodGet, api+"/"+resource, "")
	items, _ := a.body["items"].([]any)
	var found []string
	for _, item := range items {
		metadata, _ := item.(map[string]any)["metadata"].(map[string]any)
		name, _ := metadata["name"].(string)
		found = append(found, name)
	}
	return strings.Join(found, " ")
}

func TestPeopleSeeWhatTheyMayUse(t *testing.T) {
	addCluster(t, "sight-1", nil)
	addCluster(t, "sight-2", nil)
	addTeam(t, "sight-team", "bob")
	takeAway := addAccess(t, "sight", storagev1.ClusterAccessSpec{Clusters: []string{"sight-1"}, Teams: []string{"sight-team"}})
	bob := env.keys["bob"]
	await(t, "bob sees his cluster alone", func() bool { return names(t, bob, "clusters") == "sight-1" })
	if got := names(t, bob, "users"); got != "bob" {
		t.Errorf("bob sees users %q", got)
	}
	if got := names(t, bob, "teams"); got != "sight-team" {
		t.Errorf("bob sees teams %q", got)
	}
	if got := names(t, env.keys["admin"], "clusters"); !strings.Contains(got, "sight-1 sight-2") {
		t.Errorf("admin sees clusters %q", got)
	}
	if got := names(t, env.keys["admin"], "users"); !strings.Contains(got, "alice bob") {
		t.Errorf("admin sees users %q", got)
	}
	takeAway()
	await(t, "bob sees nothing", func() bool { return names(t, bob, "clusters") == "" })
}

func TestAWatchEndsWhenWhatIsSeenChanges(t *testing.T) {
	addCluster(t, "watch-1", nil)
	addCluster(t, "watch-2", nil)
	takeAway := addAccess(t, "watch", storagev1.ClusterAccessSpec{Clusters: []string{"watch-1"}, Users: []string{"bob"}})
	bob := env.keys["bob"]
	await(t, "bob sees his cluster", func() bool { return names(t, bob, "clusters") == "watch-1" })
	events := watching(t, bob, api+"/clusters?watch=true")
	first := <-events
	if got := (answer{body: first}).at("object.metadata.name"); got != "watch-1" {
		t.Fatalf("first event %v", first)
	}
	mustKubectl(t, "admin", "annotate", "clusters", "watch-2", "x=y")
	mustKubectl(t, "admin", "annotate", "clusters", "watch-1", "x=y")
	takeAway()
	for event := range events {
		a := answer{body: event}
		if a.at("type") == "ERROR" {
			if a.at("object.code") != "410" {
				t.Errorf("the watch ends with %v, want 410", event)
			}
			return
		}
		if a.at("object.metadata.name") != "watch-1" {
			t.Fatalf("bob is told of what is not his: %v", event)
		}
	}
	t.Error("the watch ended without a word")
}

// A key that is disabled ends what is open.
func TestAWatchEndsWithItsKey(t *testing.T) {
	created := ask(t, env.keys["admin"], http.MethodPost, api+"/ownedaccesskeys", empty("OwnedAccessKey", "{}"))
	name := created.at("metadata.name")
	events := watching(t, created.at("spec.key"), api+"/clusters?watch=true&resourceVersion=0")
	if a := ask(t, env.keys["admin"], http.MethodDelete, api+"/ownedaccesskeys/"+name, ""); a.code != http.StatusOK {
		t.Fatal(a.raw)
	}
	for event := range events {
		if (answer{body: event}).at("type") == "ERROR" {
			return
		}
	}
	t.Error("the watch ended without a word")
}
