// Package endpoint reads the annotations of a Cluster that say where people reach its agent directly.
//
// Parse gives the endpoint that they describe, or every fault in them, each at the annotation that it
// is in. Whoever stores annotations, uses them or writes them into a kubeconfig asks here, so that one
// that cannot work is found out when it is set and not by somebody's kubectl.
//
// What surprises:
//   - The rules are those of the oldest client that reads the annotations: what that one would turn
//     into another URL is refused. So a scheme is "https://" in lower case, or left out.
//   - CA data is checked even where there is no endpoint yet, since the annotations may be set one by one.
//   - Whether a certificate has expired is not asked: that changes with time. The prober finds it out.
package endpoint

import (
	"encoding/base64"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"

	storagev1 "loft.sh/agent/apis/storage/v1"
)

// maxIdleSeconds is what a trust bundle can carry: about 68 years.
const maxIdleSeconds = 1<<31 - 1

// Endpoint is where and how people reach the agent of a cluster directly.
type Endpoint struct {
	// URL is "https://", host and perhaps port, without a path.
	URL string
	// Insecure says that clients shall not verify the endpoint's certificate.
	Insecure bool
	// CAData holds PEM certificates that clients verify the endpoint with; nil: the system's roots.
	CAData []byte
}

// Parse reads the endpoint from annotations; nil: there is none. Where there are errors there is no
// endpoint. Each names its annotation; none repeats the CA data.
func Parse(annotations map[string]string) (*Endpoint, field.ErrorList) {
	var errs field.ErrorList
	url, err := parseURL(annotations[storagev1.AnnotationDirectEndpoint])
	if err != nil {
		errs = append(errs, err)
	}
	insecure, err := parseInsecure(annotations[storagev1.AnnotationDirectEndpointInsecure])
	if err != nil {
		errs = append(errs, err)
	}
	caData, err := parseCAData(annotations[storagev1.AnnotationDirectEndpointCAData])
	if err != nil {
		errs = append(errs, err)
	}
	if insecure && annotations[storagev1.AnnotationDirectEndpointCAData] != "" {
		errs = append(errs, field.Forbidden(path(storagev1.AnnotationDirectEndpointInsecure),
			"not together with "+storagev1.AnnotationDirectEndpointCAData+", which clients would have to ignore; remove one of the two"))
	}
	if len(errs) > 0 || url == "" {
		return nil, errs
	}
	return &Endpoint{URL: url, Insecure: insecure, CAData: caData}, nil
}

// IdleTimeout reads after which time without traffic an exec, attach or port-forward is closed. nil:
// the annotation says nothing; 0: never. The annotation is a whole number of seconds.
func IdleTimeout(annotations map[string]string) (*time.Duration, *field.Error) {
	value := annotations[storagev1.AnnotationStreamIdleTimeout]
	if value == "" {
		return nil, nil
	}
	seconds, err := strconv.ParseUint(value, 10, 31)
	if err != nil {
		return nil, field.Invalid(path(storagev1.AnnotationStreamIdleTimeout), value,
			"must be a whole number of seconds from 0, which is never, to "+strconv.Itoa(maxIdleSeconds))
	}
	timeout := time.Duration(seconds) * time.Second
	return &timeout, nil
}

// ValidateAnnotations returns what is wrong with those annotations of a Cluster that this package
// reads; it leaves others alone.
func ValidateAnnotations(annotations map[string]string) field.ErrorList {
	_, errs := Parse(annotations)
	if _, err := IdleTimeout(annotations); err != nil {
		errs = append(errs, err)
	}
	return errs
}

// parseInsecure knows "true" alone, as every client does. Anything else would count as false, silently.
func parseInsecure(value string) (bool, *field.Error) {
	switch value {
	case "true":
		return true, nil
	case "", "false":
		return false, nil
	}
	return false, field.NotSupported(path(storagev1.AnnotationDirectEndpointInsecure), value, []string{"true", "false"})
}

// parseCAData decodes as clients do: standard base64, in which line breaks count for nothing.
func parseCAData(value string) ([]byte, *field.Error) {
	if value == "" {
		return nil, nil
	}
	data, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		return nil, invalidCA("is not standard base64; encode the PEM file, for example with base64 -w0 ca.crt")
	}
	if problem := checkCertificates(data); problem != "" {
		return nil, invalidCA(problem)
	}
	return data, nil
}

func invalidCA(problem string) *field.Error {
	return field.Invalid(path(storagev1.AnnotationDirectEndpointCAData), field.OmitValueType{}, problem)
}

func path(annotation string) *field.Path {
	return field.NewPath("metadata", "annotations").Key(annotation)
}
