package gateway

import (
	"fmt"
	"net/http"
	"time"

	"loft.sh/agent/pkg/doors"
	"loft.sh/agent/pkg/proxy"
	"loft.sh/agent/pkg/statuserr"
)

// retryAfterSeconds is for answers that a moment later may be others. client-go asks up to ten times,
// while its person waits.
const retryAfterSeconds = 1

// inspect tells answers of the agent, which bear its mark, from those of the API server in front.
func (c *connected) inspect(res *http.Response, call *proxy.Call) error {
	c.silence.answered(time.Now())
	_, marked := res.Header[doors.AgentHeader]
	if marked && res.StatusCode == http.StatusUnauthorized && !call.Backend {
		// The client's credential is good, so it must not hear of another that is not.
		return c.agentMissing("does not know the cluster's API server as its aggregator")
	}
	// Only what the API server says itself about credentials and impersonation is about the manager's.
	call.Backend = marked
	if marked {
		return nil
	}
	switch {
	case res.StatusCode == http.StatusNotFound:
		return c.agentMissing("is not installed: its API service does not exist")
	case res.StatusCode == http.StatusServiceUnavailable:
		return c.agentMissing("is not available to the cluster's API server")
	case res.StatusCode < http.StatusBadRequest:
		return c.agentMissing("did not answer, but something else in its place")
	}
	// Whatever else the API server says about the request itself, such as that it has too many.
	return nil
}

func (c *connected) agentMissing(why string) error {
	agentMissing.Inc()
	return statuserr.Unavailable(fmt.Sprintf("the agent of cluster %q %s", c.name, why), retryAfterSeconds)
}
