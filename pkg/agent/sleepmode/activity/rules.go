package activity

import (
	"errors"
	"fmt"
	"strings"

	"loft.sh/agent/pkg/agent/sleepmode/annotations"
)

// resource is a resource in its group.
type resource struct{ group, name string }

// Rules are the ignore-… annotations of a namespace, compiled: what doesn't count as activity there.
// The zero value lets everything count.
type Rules struct {
	all, virtualClusters, connections bool

	groups, verbs map[string]struct{}
	resources     map[resource]struct{}
	// resourceVerbs and resourceNames are verbs and names by resource.
	resourceVerbs, resourceNames map[resource]map[string]struct{}
	// agents are user agents, agentPrefixes those that end in "*".
	agents        map[string]struct{}
	agentPrefixes []string
}

// Compile reads the ignore-… annotations of a namespace. It returns the rules that could be read, and
// an *annotations.Error in err for each that could not.
func Compile(from map[string]string) (*Rules, error) {
	c := compiler{from: from}
	r := &Rules{
		all:             c.flag(annotations.IgnoreAllKey),
		virtualClusters: c.flag(annotations.IgnoreVirtualClustersKey),
		groups:          c.set(annotations.IgnoreGroupsKey),
		verbs:           c.set(annotations.IgnoreVerbsKey),
		resources:       c.resources(annotations.IgnoreResourcesKey),
		resourceVerbs:   c.byResource(annotations.IgnoreResourceVerbsKey),
		resourceNames:   c.byResource(annotations.IgnoreResourceNamesKey),
	}
	current, old := c.flag(annotations.IgnoreActiveConnectionsKey), c.flag(annotations.IgnoreActiveConnectionsOldKey)
	r.connections = current || old
	for agent := range c.set(annotations.IgnoreUserAgentsKey) {
		if prefix, found := strings.CutSuffix(agent, "*"); found {
			r.agentPrefixes = append(r.agentPrefixes, prefix)
			continue
		}
		if r.agents == nil {
			r.agents = map[string]struct{}{}
		}
		r.agents[agent] = struct{}{}
	}
	return r, errors.Join(c.errs...)
}

// ignoresAgent says whether requests of a client that calls itself agent don't count.
func (r *Rules) ignoresAgent(agent string) bool {
	if _, found := r.agents[agent]; found {
		return true
	}
	for _, prefix := range r.agentPrefixes {
		if strings.HasPrefix(agent, prefix) {
			return true
		}
	}
	return false
}

type compiler struct {
	from map[string]string
	errs []error
}

func (c *compiler) fail(key, format string, args ...any) {
	c.errs = append(c.errs, &annotations.Error{Key: key, Reason: fmt.Sprintf(format, args...)})
}

func (c *compiler) flag(key string) bool {
	switch value := c.from[key]; value {
	case "true":
		return true
	case "false", "":
	default:
		c.fail(key, `%q is neither "true" nor "false"`, value)
	}
	return false
}

// list is what stands between commas.
func (c *compiler) list(key string) []string {
	var items []string
	for item := range strings.SplitSeq(c.from[key], ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

func (c *compiler) set(key string) map[string]struct{} { return setOf(c.list(key)) }

func setOf(items []string) map[string]struct{} {
	if len(items) == 0 {
		return nil
	}
	set := make(map[string]struct{}, len(items))
	for _, item := range items {
		set[item] = struct{}{}
	}
	return set
}

// parseResource reads "deployments.apps": the group is behind the first dot.
func parseResource(text string) resource {
	name, group, _ := strings.Cut(text, ".")
	return resource{group: group, name: name}
}

func (c *compiler) resources(key string) map[resource]struct{} {
	var set map[resource]struct{}
	for _, item := range c.list(key) {
		if set == nil {
			set = map[resource]struct{}{}
		}
		set[parseResource(item)] = struct{}{}
	}
	return set
}

// byResource reads "myresource.mygroup=create update,other.g=get".
func (c *compiler) byResource(key string) map[resource]map[string]struct{} {
	var sets map[resource]map[string]struct{}
	for _, item := range c.list(key) {
		name, values, found := strings.Cut(item, "=")
		fields := strings.Fields(values)
		if name = strings.TrimSpace(name); !found || name == "" || len(fields) == 0 {
			c.fail(key, `%q is not of the form "resource.group=value value"`, item)
			continue
		}
		if sets == nil {
			sets = map[resource]map[string]struct{}{}
		}
		set := sets[parseResource(name)]
		if set == nil {
			set = map[string]struct{}{}
			sets[parseResource(name)] = set
		}
		for _, field := range fields {
			set[field] = struct{}{}
		}
	}
	return sets
}
