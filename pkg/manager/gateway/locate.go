package gateway

import (
	"net/http"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/pkg/door"
)

// Prefixes of what the gateway serves; the name of a cluster follows, and for virtual clusters those
// of space and virtual cluster. ManagementPrefix is the subresource "proxy" of the management API's
// clusters.
const (
	ClusterPrefix    = "/kubernetes/cluster"
	VirtualPrefix    = "/kubernetes/virtualcluster"
	ManagementPrefix = "/apis/management.loft.sh/v1/clusters"
)

const (
	// Hint says where clusters are to who knocks elsewhere.
	Hint = "clusters are at " + ClusterPrefix + "/<cluster>/, virtual clusters at " + VirtualPrefix + "/<cluster>/<space>/<name>/"

	// agentPath is door 2 of an agent: resource "kubernetes", name "cluster", subresource "proxy".
	agentPath = "/apis/cluster.loft.sh/v1/kubernetes/cluster/proxy"
	// spacesPath is where the agent's API has the virtual clusters of a space.
	spacesPath = "/apis/cluster.loft.sh/v1/namespaces/"

	proxySegment = "/proxy"
)

// nowhere leads nowhere: door answers 404.
var nowhere = door.Destination{Prefix: "nowhere"}

// locate is a door.Locator. It finds a cluster also where there is none of that name, since whether
// there is one is told only to who may know.
func (g *Gateway) locate(r *http.Request) (door.Destination, error) {
	path := r.URL.Path
	if names, ok := segments(path, VirtualPrefix, 3); ok {
		return g.virtual(path, names), nil
	}
	if names, ok := segments(path, ClusterPrefix, 1); ok {
		return g.cluster(path[:len(ClusterPrefix)+1+len(names[0])], names[0]), nil
	}
	if names, ok := segments(path, ManagementPrefix, 1); ok {
		if prefix := ManagementPrefix + "/" + names[0] + proxySegment; strings.HasPrefix(path, prefix) {
			return g.cluster(prefix, names[0]), nil
		}
	}
	return nowhere, nil
}

// segments returns the n segments behind prefix.
func segments(path, prefix string, n int) (names [3]string, ok bool) {
	rest, ok := strings.CutPrefix(path, prefix)
	for i := range n {
		if !ok || rest == "" || rest[0] != '/' {
			return names, false
		}
		names[i], rest, _ = cutSegment(rest[1:])
		if names[i] == "" {
			return names, false
		}
	}
	return names, ok
}

// cutSegment leaves the slash in rest.
func cutSegment(path string) (segment, rest string, more bool) {
	if i := strings.IndexByte(path, '/'); i >= 0 {
		return path[:i], path[i:], true
	}
	return path, "", false
}

// cluster leads to the API server of a cluster.
func (g *Gateway) cluster(prefix, name string) door.Destination {
	connected := g.upstreams.get(name)
	if connected == nil && len(validation.IsDNS1123Subdomain(name)) > 0 {
		return nowhere
	}
	d := door.Destination{Prefix: prefix, Base: agentPath, Cluster: name}
	if connected != nil {
		d.Forwarder = connected.forwarder
	}
	return d
}

// virtual leads to the API server of a virtual cluster, by the agent of the cluster that it runs in.
func (g *Gateway) virtual(path string, names [3]string) door.Destination {
	cluster, space, name := names[0], names[1], names[2]
	if len(validation.IsDNS1123Label(space)) > 0 || len(validation.IsDNS1123Subdomain(name)) > 0 {
		return nowhere
	}
	d := g.cluster(path[:len(VirtualPrefix)+3+len(cluster)+len(space)+len(name)], cluster)
	if d.Cluster != "" {
		d.Base = spacesPath + space + "/virtualclusters/" + name + proxySegment
		d.Virtual = &accesstoken.VirtualClusterRef{Space: space, Name: name}
	}
	return d
}
