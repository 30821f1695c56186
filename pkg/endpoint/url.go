package endpoint

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	storagev1 "loft.sh/agent/apis/storage/v1"
)

const scheme = "https://"

// parseURL completes the annotation to a URL; "" where it is empty, which is no endpoint. The value is
// not repeated where it may hold a password.
func parseURL(value string) (string, *field.Error) {
	if value == "" {
		return "", nil
	}
	invalid := func(problem string) (string, *field.Error) {
		return "", field.Invalid(path(storagev1.AnnotationDirectEndpoint), value, problem)
	}
	address := strings.TrimSuffix(strings.TrimPrefix(value, scheme), "/")
	if before, _, found := strings.Cut(address, "://"); found {
		if before == "http" {
			return invalid(`must not be http://, by which tokens would cross the network in clear; use "https://" or leave the scheme out`)
		}
		return invalid(`must begin with "https://" in lower case, or with the host`)
	}
	if strings.Contains(address, "@") {
		return "", field.Invalid(path(storagev1.AnnotationDirectEndpoint), field.OmitValueType{}, "must not name a user or a password")
	}
	if strings.ContainsAny(address, "/?#") {
		return invalid("must be a host with or without port alone: neither path nor query nor fragment; the agent is at the root")
	}
	parsed, err := url.Parse(scheme + address)
	if err != nil || parsed.Host != address {
		return invalid("is not a host with or without port, such as eu.example.com or eu.example.com:8443")
	}
	if problem := checkHost(parsed.Hostname(), strings.HasPrefix(address, "[")); problem != "" {
		return invalid(problem)
	}
	if problem := checkPort(parsed); problem != "" {
		return invalid(problem)
	}
	return scheme + strings.ToLower(address), nil
}

// checkHost says what is wrong with a host name or an IP address, which is in brackets if it is IPv6.
func checkHost(host string, bracketed bool) string {
	if host == "" {
		return "names no host"
	}
	if address, err := netip.ParseAddr(host); err == nil {
		if address.Zone() != "" || address.Is6() != bracketed {
			return "must be an IPv4 address, or an IPv6 address without zone in brackets"
		}
		return ""
	}
	if problems := validation.IsDNS1123Subdomain(strings.ToLower(host)); len(problems) > 0 {
		return "names no valid host: " + problems[0]
	}
	// No such name exists, and clients differ in what address they make of 10.1 or 1.2.3.256.
	last := host[strings.LastIndex(host, ".")+1:]
	if strings.Trim(last, "0123456789") == "" {
		return "must be a host name or a whole IP address"
	}
	return ""
}

func checkPort(u *url.URL) string {
	if strings.HasSuffix(u.Host, ":") {
		return "has no port behind the colon"
	}
	if u.Port() == "" {
		return ""
	}
	if port, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || port == 0 {
		return "must have a port from 1 to 65535"
	}
	return ""
}
