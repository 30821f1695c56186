// Package gateway carries requests of people to connected clusters: everything below
// /kubernetes/cluster/<cluster>/ and /kubernetes/virtualcluster/<cluster>/<space>/<name>/.
//
// In the order the code runs: locate.go reads where a path leads; the chain of filters is pkg/door's,
// with access.go saying who may use which cluster, before and while a request is open; upstreams.go
// keeps the connections to clusters; answers.go looks at what comes back.
//
// What surprises:
//   - Requests go to door 2 of the agent in the cluster, through the aggregator of the cluster's API
//     server, and never to that API server itself: audit and sleep mode are the agent's. Where the
//     agent is missing the answer is 503.
//   - The manager impersonates the person at the aggregator. Whom that person wants to impersonate
//     passes in headers that the agent judges, for the aggregator's API server knows one level only.
//   - A cluster that does not exist, and one that may not be used, get the same answer.
//   - Identities other than the manager's own people are not carried: "system:masters", or a service
//     account, of the central cluster would be somebody else in the connected one.
//   - The aggregator decodes paths and sorts queries. The agent reads the result anew, so what it
//     authorises is what it forwards.
package gateway
