// Package bearer finds bearer tokens in requests and has an API server review them. Agent and manager
// share it.
//
// What surprises: a token that is *wrong* and a token that could not be *checked* are different
// answers; see ErrUnchecked. apiserver's own webhook authenticator does not tell them apart.
package bearer

import (
	"encoding/base64"
	"net/http"
	"strings"
)

const (
	// WebSocketProtocolHeader is the header of WebSocket sub-protocols, in canonical form.
	WebSocketProtocolHeader = "Sec-Websocket-Protocol"
	// Subprotocol is how browsers send a token with a WebSocket, which cannot carry
	// headers; the rest of the protocol's name is the token in unpadded base64url.
	Subprotocol = "base64url.bearer.authorization.k8s.io."
	// MaxReviewedToken bounds what is sent to the API server, in bytes: the largest service
	// account and OIDC tokens seen in the wild are below half of it.
	MaxReviewedToken = 32 << 10
)

// Token finds the token of a request, in the Authorization header (RFC 6750) or, where that
// is absent, in a WebSocket sub-protocol. Empty: there is none.
func Token(h http.Header) string {
	if authorization := h.Get("Authorization"); authorization != "" {
		scheme, token, _ := strings.Cut(strings.TrimSpace(authorization), " ")
		if !strings.EqualFold(scheme, "bearer") {
			return ""
		}
		return strings.TrimSpace(token)
	}
	for _, line := range h[WebSocketProtocolHeader] {
		for protocol := range strings.SplitSeq(line, ",") {
			encoded, ok := strings.CutPrefix(strings.TrimSpace(protocol), Subprotocol)
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
