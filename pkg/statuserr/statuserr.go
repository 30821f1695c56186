// Package statuserr writes refusals as metav1.Status, in the encoding that the client asked for.
//
// It is the API server's own error writer with two things settled once: the codecs, and
// Retry-After on every answer that a client should try again.
package statuserr

import (
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
)

// Writer answers a request with err as a metav1.Status.
type Writer func(w http.ResponseWriter, r *http.Request, err error)

// NewWriter returns a Writer that encodes with s.
func NewWriter(s runtime.NegotiatedSerializer) Writer {
	return func(w http.ResponseWriter, r *http.Request, err error) {
		responsewriters.ErrorNegotiated(err, s, schema.GroupVersion{Version: "v1"}, w, r)
	}
}

// Unavailable is a 503 that asks the client to come back after retryAfter seconds: something
// could not be checked or reached, which says nothing about the request itself.
func Unavailable(message string, retryAfter int32) *apierrors.StatusError {
	err := apierrors.NewServiceUnavailable(message)
	err.ErrStatus.Details = &metav1.StatusDetails{RetryAfterSeconds: retryAfter}
	return err
}
