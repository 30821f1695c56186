// Package netfault says in one word, and in one sentence, why a server did not answer.
//
// What surprises: the sentence is made here and not taken from the error. What Go says of a broken
// connection names the ports of both ends, so that the same fault reads differently each time; a
// condition would be written, and an event sent, for nothing.
package netfault

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Reasons that a server did not answer.
const (
	DNSFailure                  = "DNSFailure"
	ConnectionRefused           = "ConnectionRefused"
	Timeout                     = "Timeout"
	CertificateUnknownAuthority = "CertificateUnknownAuthority"
	CertificateNameMismatch     = "CertificateNameMismatch"
	CertificateExpired          = "CertificateExpired"
	TLSFailure                  = "TLSFailure"
	Unreachable                 = "Unreachable"
)

// Of says why a request failed: a reason, which is CamelCase, and what it means. An answer of an API
// server is told by its own reason and message.
func Of(err error) (reason, message string) {
	if status := apierrors.APIStatus(nil); errors.As(err, &status) {
		if reason := string(status.Status().Reason); reason != "" {
			return reason, err.Error()
		}
		return "UnexpectedAnswer", err.Error()
	}
	if reason, message := ofCertificate(err); reason != "" {
		return reason, message
	}
	return ofConnection(err)
}

func ofCertificate(err error) (reason, message string) {
	var invalid x509.CertificateInvalidError
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var header tls.RecordHeaderError
	var alert tls.AlertError
	switch {
	case errors.As(err, &authority):
		return CertificateUnknownAuthority, "the server's certificate is signed by an authority that is not trusted"
	case errors.As(err, &name):
		return CertificateNameMismatch, "the server's certificate does not name the host " + name.Host
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return CertificateExpired, "the server's certificate, or one above it, has expired or is not valid yet"
	case errors.As(err, &invalid):
		return CertificateUnknownAuthority, "the server's certificate cannot be verified: " + invalid.Error()
	case errors.As(err, &header), errors.Is(err, http.ErrSchemeMismatch):
		return TLSFailure, "the server does not speak TLS"
	case errors.As(err, &alert):
		return TLSFailure, "the server refused the TLS handshake: " + alert.Error()
	}
	return "", ""
}

func ofConnection(err error) (reason, message string) {
	var dns *net.DNSError
	var network net.Error
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return DNSFailure, "there is no host " + dns.Name
	case errors.As(err, &dns):
		return DNSFailure, "the name server does not say where the host " + dns.Name + " is"
	case errors.Is(err, syscall.ECONNREFUSED):
		return ConnectionRefused, "nothing listens at the server's address"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &network) && network.Timeout():
		return Timeout, "the server did not answer in time"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return Unreachable, "there is no way to the server's network"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return Unreachable, "the server closed the connection"
	}
	return Unreachable, "the connection to the server failed"
}
