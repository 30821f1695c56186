package door

import (
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/endpoints/request"

	"loft.sh/agent/pkg/proxy"
	"loft.sh/agent/pkg/proxy/streams"
)

// shutdownEnd is the end of a stream with the program that carried it.
func shutdownEnd(program string) *streams.End {
	return &streams.End{
		Code: http.StatusServiceUnavailable, Reason: metav1.StatusReasonServiceUnavailable, GoingAway: true,
		Message: "the " + program + " that carried this stream is shutting down; repeat the command",
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
	settings := streams.Settings{Kind: streamKind(target.Info), PingPeriod: c.PingPeriod}
	if c.IdleTimeout != nil {
		settings.IdleTimeout = c.IdleTimeout()
	}
	return settings
}
