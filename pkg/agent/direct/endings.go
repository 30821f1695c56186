package direct

import (
	"errors"
	"net/http"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/endpoints/request"

	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/pkg/proxy"
	"loft.sh/agent/pkg/proxy/streams"
)

// tokenEnd is the end of a stream whose token is not good any more. What it tells fits into a
// WebSocket's Close, 123 bytes, behind the API server's own word, which clients look for.
func tokenEnd(err error) *streams.End {
	end := &streams.End{Code: http.StatusUnauthorized, Reason: metav1.StatusReasonUnauthorized, Err: err}
	var refused *accesstoken.Error
	switch {
	case errors.As(err, &refused) && refused.Reason == accesstoken.ReasonExpired:
		end.Message = "Unauthorized: the token that opened this stream has expired; repeat the command with a new one"
	case errors.As(err, &refused) && refused.Reason == accesstoken.ReasonRevoked:
		end.Message = "Unauthorized: the token that opened this stream was revoked; log in again, then repeat the command"
	default:
		end.Message = "Unauthorized: the token that opened this stream is not trusted any more; log in again, then repeat the command"
	}
	return end
}

// shutdownEnd is the end of a stream with its agent.
func shutdownEnd() *streams.End {
	return &streams.End{
		Code: http.StatusServiceUnavailable, Reason: metav1.StatusReasonServiceUnavailable, GoingAway: true,
		Message: "the agent that carried this stream is shutting down; repeat the command",
	}
}

// streamKind is how the end of a request is told to its client.
func streamKind(info *request.RequestInfo) streams.Kind {
	switch {
	case !info.IsResourceRequest:
		return streams.Other
	case info.Verb == "watch":
		return streams.Watch
	case info.APIGroup != "" || info.Resource != "pods":
		return streams.Other
	}
	switch info.Subresource {
	case "log":
		return streams.Log
	case "exec", "attach":
		return streams.Exec
	case "portforward":
		return streams.PortForward
	}
	return streams.Other
}

// streamSettings are those of a request that stays open.
func (c *Config) streamSettings(target *Target) streams.Settings {
	if target.Lane == proxy.Short {
		return streams.Settings{}
	}
	return streams.Settings{Kind: streamKind(target.Info), PingPeriod: c.PingPeriod, IdleTimeout: c.idleTimeout()}
}

// idleTimeout is the trust bundle's where it has one: the manager decides for the cluster.
func (c *Config) idleTimeout() time.Duration {
	if bundle := c.Lifetimes.verifier.Bundle(); bundle != nil && bundle.StreamingConnectionIdleTimeoutSeconds != nil {
		return time.Duration(*bundle.StreamingConnectionIdleTimeoutSeconds) * time.Second
	}
	return c.IdleTimeout
}
