package identity

import (
	"net/http"
	"strings"
)

// deferredPrefix is put before Impersonate-* headers that the next door is to judge.
const deferredPrefix = "X-Loft-"

const impersonatePrefix = "Impersonate-"

// Defer returns whom the headers ask to impersonate, in headers that pass through an API server unread:
// the request itself carries the identity of who asks, and the door behind, which has the cluster's RBAC
// at hand, decides. Nil: nobody is to be impersonated.
func Defer(h http.Header) http.Header {
	var deferred http.Header
	for key, values := range h {
		if !hasPrefix(key, impersonatePrefix) {
			continue
		}
		if deferred == nil {
			deferred = http.Header{}
		}
		deferred[http.CanonicalHeaderKey(deferredPrefix+key)] = values
	}
	return deferred
}

// Resume turns what Defer returned into what the client sent, and removes other impersonation: an API
// server in front has used that up. Who resumes must check it like any client's.
func Resume(h http.Header) {
	var resumed http.Header
	for key, values := range h {
		switch {
		case hasPrefix(key, impersonatePrefix):
			delete(h, key)
		case hasPrefix(key, deferredPrefix+impersonatePrefix):
			if resumed == nil {
				resumed = http.Header{}
			}
			resumed[http.CanonicalHeaderKey(key[len(deferredPrefix):])] = values
			delete(h, key)
		}
	}
	for key, values := range resumed {
		h[key] = values
	}
}

func hasPrefix(key, prefix string) bool {
	return len(key) >= len(prefix) && strings.EqualFold(key[:len(prefix)], prefix)
}
