// Package network says in words why a server could not be asked: its name, its port, its certificate,
// or the clock of this machine.
package network

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"
)

// Kind is what kept a request from being answered.
type Kind string

// Kinds of trouble.
const (
	KindName         Kind = "name"         // DNS does not know the host
	KindRefused      Kind = "refused"      // nothing listens, or the connection was cut
	KindTimeout      Kind = "timeout"      // no answer in time
	KindUnknownCA    Kind = "unknownCA"    // the certificate's issuer is not trusted
	KindWrongHost    Kind = "wrongHost"    // the certificate is for other names
	KindExpired      Kind = "expired"      // the certificate has ended, or not begun, by this clock
	KindNoTLS        Kind = "noTLS"        // what answers speaks no TLS
	KindCertificate  Kind = "certificate"  // anything else about the certificate
	KindUnclassified Kind = "unclassified" // the error speaks for itself
)

// Explain says why a request failed, in a few words that fit behind a colon.
func Explain(err error) (Kind, string) {
	if kind, text, found := explainCertificate(err); found {
		return kind, text
	}
	var name *net.DNSError
	var timeout net.Error
	switch {
	case errors.As(err, &name) && name.IsNotFound:
		return KindName, "no such host: " + name.Name
	case errors.As(err, &name):
		return KindName, "the name " + name.Name + " could not be looked up"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return KindTimeout, "no answer in time"
	case errors.Is(err, syscall.ECONNREFUSED):
		return KindRefused, "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return KindRefused, "the connection was cut"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return KindRefused, "no way to the host"
	case isNoTLS(err):
		return KindNoTLS, "it does not speak TLS"
	}
	var request *url.Error
	if errors.As(err, &request) { // without the URL, which the caller names
		return KindUnclassified, request.Err.Error()
	}
	return KindUnclassified, err.Error()
}

func explainCertificate(err error) (Kind, string, bool) {
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var other *tls.CertificateVerificationError
	switch {
	case errors.As(err, &authority):
		return KindUnknownCA, "its certificate is signed by an unknown authority", true
	case errors.As(err, &host):
		return KindWrongHost, "its certificate is for other names: " + names(host.Certificate), true
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return KindExpired, validity(invalid.Cert, time.Now()), true
	case errors.As(err, &invalid):
		return KindCertificate, "its certificate is not valid: " + invalid.Error(), true
	case errors.As(err, &other):
		return KindCertificate, "its certificate is not accepted: " + other.Err.Error(), true
	}
	return "", "", false
}

// names are those that a certificate is for, a few of them.
func names(certificate *x509.Certificate) string {
	all := append([]string(nil), certificate.DNSNames...)
	for _, address := range certificate.IPAddresses {
		all = append(all, address.String())
	}
	switch {
	case len(all) == 0:
		return "none"
	case len(all) > 4:
		all = append(all[:4], "…")
	}
	return strings.Join(all, ", ")
}

// validity says how a certificate's time and this machine's disagree.
func validity(certificate *x509.Certificate, now time.Time) string {
	clock := now.UTC().Format(time.RFC3339)
	if now.Before(certificate.NotBefore) {
		return fmt.Sprintf("its certificate is valid from %s on, and the clock of this machine says %s: if the clock is wrong, set it",
			certificate.NotBefore.UTC().Format(time.RFC3339), clock)
	}
	return fmt.Sprintf("its certificate ended at %s, and the clock of this machine says %s: if the clock is wrong, set it",
		certificate.NotAfter.UTC().Format(time.RFC3339), clock)
}

func isNoTLS(err error) bool {
	var header tls.RecordHeaderError
	return errors.As(err, &header) || strings.Contains(err.Error(), http.ErrSchemeMismatch.Error())
}

// MaxSkew is how far a clock may be off before it is worth a word: tokens allow a minute.
const MaxSkew = time.Minute

// Skew is how far the server that sent header is ahead of this machine, to the second; found is false
// where it does not say its time.
func Skew(header http.Header, now time.Time) (skew time.Duration, found bool) {
	date, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return 0, false
	}
	return date.Sub(now).Round(time.Second), true
}

// SkewText says that this machine's clock is off by skew; empty: it is not, or not by much.
func SkewText(skew time.Duration) string {
	switch {
	case skew > MaxSkew:
		return fmt.Sprintf("the clock of this machine is %s behind the server's: set it", skew)
	case skew < -MaxSkew:
		return fmt.Sprintf("the clock of this machine is %s ahead of the server's: set it", -skew)
	}
	return ""
}
