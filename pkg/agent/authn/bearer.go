package authn

import (
	"encoding/base64"
	"net/http"
	"strings"
)

const (
	websocketProtocolHeader = "Sec-Websocket-Protocol"
	// bearerSubprotocol is how browsers send a token with a WebSocket, which cannot carry
	// headers; the rest of the protocol's name is the token in unpadded base64url.
	bearerSubprotocol = "base64url.bearer.authorization.k8s.io."
	// maxReviewedToken bounds what is sent to the host cluster, in bytes: the largest service
	// account and OIDC tokens seen in the wild are below half of it.
	maxReviewedToken = 32 << 10
)

// bearerToken finds the token of a request, in the Authorization header (RFC 6750) or, where that
// is absent, in a WebSocket sub-protocol. Empty: there is none.
func bearerToken(h http.Header) string {
	if authorization := h.Get("Authorization"); authorization != "" {
		scheme, token, _ := strings.Cut(strings.TrimSpace(authorization), " ")
		if !strings.EqualFold(scheme, "bearer") {
			return ""
		}
		return strings.TrimSpace(token)
	}
	for _, line := range h[websocketProtocolHeader] {
		for protocol := range strings.SplitSeq(line, ",") {
			encoded, ok := strings.CutPrefix(strings.TrimSpace(protocol), bearerSubprotocol)
			if !ok {
				continue
			}
			if token, err := base64.RawURLEncoding.DecodeString(encoded); err == nil {
				return string(token)
			}
		}
	}
	return ""
}
