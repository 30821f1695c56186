package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
)

// Failure says in one word why there was no answer of the API server; fit for the label of a metric.
type Failure string

// The failures there are.
const (
	// FailureTimeout means that the API server, or the way to it, was silent for too long.
	FailureTimeout Failure = "timeout"
	// FailureDial means that there was no connection: no address, no route, nobody listening.
	FailureDial Failure = "dial"
	// FailureTLS means that who answered was not trusted, did not trust us, or spoke no TLS.
	FailureTLS Failure = "tls"
	// FailureReset means that the connection ended before the answer.
	FailureReset Failure = "reset"
	// FailureCredential means that the agent's own credential was refused, or cannot be read.
	FailureCredential Failure = "credential"
	// FailureProtocol means that the API server switched to another protocol than was asked for.
	FailureProtocol Failure = "protocol"
	// FailureOther is everything else.
	FailureOther Failure = "other"
)

// Failures are all failures there are.
func Failures() []Failure {
	return []Failure{FailureTimeout, FailureDial, FailureTLS, FailureReset, FailureCredential, FailureProtocol, FailureOther}
}

// explain says to people what is wrong.
func (f Failure) explain() string {
	switch f {
	case FailureTimeout:
		return "it is silent"
	case FailureDial:
		return "there is no connection"
	case FailureTLS:
		return "who answers is not trusted, or trusts us not"
	case FailureReset:
		return "the connection ended before the answer"
	case FailureProtocol:
		return "it switched to another protocol than was asked for"
	}
	return "the log says more"
}

// failureOf sorts an error of a round trip.
func failureOf(err error) Failure {
	var network net.Error
	var operation *net.OpError
	switch {
	case errors.Is(err, errCredential):
		return FailureCredential
	case errors.Is(err, errOtherProtocol):
		return FailureProtocol
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return FailureTimeout
	case ofTLS(err):
		return FailureTLS
	case errors.As(err, &operation) && operation.Op == "dial":
		return FailureDial
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		strings.HasSuffix(err.Error(), "server closed idle connection"): // net/http's own, not exported
		return FailureReset
	}
	return FailureOther
}

func ofTLS(err error) bool {
	var verification *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var header tls.RecordHeaderError
	if errors.Is(err, http.ErrSchemeMismatch) || errors.As(err, &verification) || errors.As(err, &authority) || errors.As(err, &header) {
		return true
	}
	// An alert has no type of its own; these are the operations that crypto/tls puts around it.
	var operation *net.OpError
	return errors.As(err, &operation) && (operation.Op == "remote error" || operation.Op == "local error")
}
