package tokens

import (
	"github.com/go-jose/go-jose/v4"
	"k8s.io/apimachinery/pkg/runtime"

	storagev1 "loft.sh/agent/apis/storage/v1"
)

var allAlgorithms = []jose.SignatureAlgorithm{jose.ES256}

// people are the objects of the test's central cluster.
func people() []runtime.Object {
	scope := func(s storagev1.AccessScope) func(*storagev1.AccessKeySpec) {
		return func(k *storagev1.AccessKeySpec) { k.Scope = &s }
	}
	return []runtime.Object{
		&storagev1.User{ObjectMeta: named("alice"), Spec: storagev1.UserSpec{Groups: []string{"dev"}}},
		&storagev1.User{ObjectMeta: named("bob")},
		&storagev1.User{ObjectMeta: named("admin")},
		&storagev1.User{ObjectMeta: named("unlucky")},
		&storagev1.User{ObjectMeta: named("eve"), Spec: storagev1.UserSpec{Disabled: true}},
		&storagev1.Team{ObjectMeta: named("blue"), Spec: storagev1.TeamSpec{Users: []string{"alice"}}},
		&storagev1.Team{ObjectMeta: named("devs"), Spec: storagev1.TeamSpec{Groups: []string{"dev"}}},
		&storagev1.Team{ObjectMeta: named("off"), Spec: storagev1.TeamSpec{Users: []string{"alice"}, Disabled: true}},
		cluster("eu", "uid-eu"), cluster("us", "uid-us"), cluster("asia", "uid-asia"), cluster("new", ""),
		cluster("twin-a", "uid-twin"), cluster("twin-b", "uid-twin"),
		grant("blue", []string{"eu", "us", "new", "twin-a", "gone"}, nil, []string{"blue"}),
		grant("bob", []string{"us"}, []string{"bob"}, nil),
		key("plain", "alice", nil),
		key("second", "alice", nil),
		key("off", "alice", func(k *storagev1.AccessKeySpec) { k.Disabled = true }),
		key("bobs", "bob", nil),
		key("short", "alice", func(k *storagev1.AccessKeySpec) { k.TTL = 3600 }),
		key("idle", "alice", func(k *storagev1.AccessKeySpec) { k.TTL, k.TTLAfterLastActivity = 7200, true }),
		key("eu-only", "alice", scope(storagev1.AccessScope{Clusters: []storagev1.AccessScopeCluster{{Cluster: "eu"}}})),
		key("both", "alice", scope(storagev1.AccessScope{Clusters: []storagev1.AccessScopeCluster{{Cluster: "eu"}, {Cluster: "us"}, {Cluster: "asia"}}})),
		key("reader", "alice", scope(storagev1.AccessScope{ReadOnly: true})),
		key("spaces", "alice", scope(storagev1.AccessScope{Spaces: []storagev1.AccessScopeSpace{
			{Cluster: "eu", Space: "a"}, {Cluster: "eu", Space: "b"}, {Cluster: "us", Space: "c"}}})),
		&storagev1.AccessKey{ObjectMeta: named("team-key"), Spec: storagev1.AccessKeySpec{Team: "blue"}},
	}
}
