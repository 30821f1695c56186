// Package apiserver holds the rows in which the host cluster's API server fails: it crashes, closes
// its connections, falls silent, or cannot answer the agent's own questions.
package apiserver

import (
	"loft.sh/agent/test/chaos"
	"loft.sh/agent/test/sandbox"
)

// Rows returns the rows.
func Rows() []chaos.Row {
	return []chaos.Row{
		{
			Name:  "apiserver-killed",
			Fault: "API server killed and restarted, 50 requests/s and 200 watches",
			Quick: true, Alone: true, Run: killed,
		},
		{
			Name:  "apiserver-goaway",
			Fault: "API server with --goaway-chance=0.02, 20 workers × 150 create + get, over HTTP/2 and HTTP/1.1",
			Quick: true, Run: goaway,
		},
		{
			Name:  "apiserver-silent",
			Fault: "API server silent: packets dropped under watches, streams and requests",
			Quick: true, Run: silent,
		},
		{
			Name:  "reviews-down",
			Fault: "TokenReview or SubjectAccessReview down: answers 500, or hangs",
			Quick: true, Run: reviewsDown,
		},
	}
}

// configMapURL is a small object that every namespace has.
func configMapURL(agent *sandbox.Replica, namespace string) string {
	return configMapsURL(agent, namespace) + "/kube-root-ca.crt"
}

func configMapsURL(agent *sandbox.Replica, namespace string) string {
	return agent.EndpointURL() + "/kubernetes/cluster/api/v1/namespaces/" + namespace + "/configmaps"
}
