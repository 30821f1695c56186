package identity

import (
	"net/http"
	"strings"
)

// bearerSubprotocol is the WebSocket sub-protocol in which browsers send a bearer token.
// The API server's authenticator removes it only when it was used, so Strip always does.
const bearerSubprotocol = "base64url.bearer.authorization.k8s.io."

const websocketProtocolHeader = "Sec-Websocket-Protocol"

// strippedNames and strippedPrefixes say who somebody is or where somebody is; a client's word
// for either is never forwarded.
var (
	strippedNames = map[string]bool{
		"authorization":       true,
		"proxy-authorization": true,
		"audit-id":            true,
		"forwarded":           true,
		"x-real-ip":           true,
	}
	strippedPrefixes = []string{"impersonate-", "x-remote-", "x-forwarded-", "x-loft-"}
)

// Strip removes every header by which a client could name an identity or an address: credentials,
// Impersonate-*, X-Remote-*, X-Loft-*, X-Forwarded-*, Forwarded, X-Real-Ip, Audit-ID, and the WebSocket
// sub-protocols that carry a bearer token.
func Strip(h http.Header) {
	for key := range h {
		if stripped(key) {
			delete(h, key)
		}
	}
	stripBearerSubprotocol(h)
}

// stripped compares without allocating for the usual short lower and mixed-case keys.
func stripped(key string) bool {
	switch key {
	case "Accept", "Accept-Encoding", "User-Agent", "Content-Type", "Content-Length":
		return false
	}
	for _, prefix := range strippedPrefixes {
		if len(key) >= len(prefix) && strings.EqualFold(key[:len(prefix)], prefix) {
			return true
		}
	}
	return strippedNames[strings.ToLower(key)]
}

func stripBearerSubprotocol(h http.Header) {
	values, ok := h[websocketProtocolHeader]
	if !ok {
		return
	}
	var kept []string
	for _, value := range values {
		for protocol := range strings.SplitSeq(value, ",") {
			protocol = strings.TrimSpace(protocol)
			if protocol != "" && !strings.HasPrefix(protocol, bearerSubprotocol) {
				kept = append(kept, protocol)
			}
		}
	}
	if len(kept) == 0 {
		delete(h, websocketProtocolHeader)
		return
	}
	h[websocketProtocolHeader] = []string{strings.Join(kept, ", ")}
}
