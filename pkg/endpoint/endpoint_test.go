package endpoint

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/util/cert"

	storagev1 "loft.sh/agent/apis/storage/v1"
)

const (
	urlField      = "metadata.annotations[loft.sh/direct-cluster-endpoint]"
	insecureField = "metadata.annotations[loft.sh/direct-cluster-endpoint-insecure]"
	caField       = "metadata.annotations[loft.sh/direct-cluster-endpoint-ca-data]"
	idleField     = "metadata.annotations[loft.sh/streaming-connection-idle-timeout]"
)

func TestURL(t *testing.T) {
	for _, tt := range []struct{ name, value, want, wantError string }{
		{name: "host", value: "eu.example.com", want: "https://eu.example.com"},
		{name: "scheme and slash", value: "https://eu.example.com/", want: "https://eu.example.com"},
		{name: "port", value: "eu.example.com:8443", want: "https://eu.example.com:8443"},
		{name: "upper case", value: "EU.Example.com", want: "https://eu.example.com"},
		{name: "one label", value: "localhost:30443", want: "https://localhost:30443"},
		{name: "IPv4", value: "192.0.2.1", want: "https://192.0.2.1"},
		{name: "IPv6", value: "[2001:db8::1]:443", want: "https://[2001:db8::1]:443"},
		{name: "http", value: "http://eu.example.com", wantError: "must not be http://"},
		{name: "upper-case scheme", value: "HTTPS://eu.example.com", wantError: "in lower case"},
		{name: "scheme twice", value: "https://https://eu.example.com", wantError: "in lower case"},
		{name: "http behind https", value: "https://http://eu.example.com", wantError: "must not be http://"},
		{name: "other scheme", value: "ftp://eu.example.com", wantError: `"https://"`},
		{name: "scheme alone", value: "https://", wantError: "no host"},
		{name: "slash alone", value: "/", wantError: "no host"},
		{name: "port alone", value: ":8443", wantError: "no host"},
		{name: "blank", value: " ", wantError: "not a host"},
		{name: "blank before", value: " eu.example.com", wantError: "not a host"},
		{name: "line break", value: "eu.example.com\nX: y", wantError: "not a host"},
		{name: "path", value: "eu.example.com/kubernetes/cluster", wantError: "neither path"},
		{name: "two slashes", value: "eu.example.com//", wantError: "neither path"},
		{name: "query", value: "eu.example.com?a=b", wantError: "neither path"},
		{name: "empty query", value: "eu.example.com?", wantError: "neither path"},
		{name: "fragment", value: "eu.example.com#a", wantError: "neither path"},
		{name: "backslash", value: `eu.example.com\evil`, wantError: "not a host"},
		{name: "underscore", value: "my_cluster.example.com", wantError: "no valid host"},
		{name: "dot behind", value: "eu.example.com.", wantError: "no valid host"},
		{name: "percent", value: "eu%2eexample.com", wantError: "not a host"},
		{name: "no port", value: "eu.example.com:", wantError: "no port"},
		{name: "port 0", value: "eu.example.com:0", wantError: "65535"},
		{name: "port too big", value: "eu.example.com:65536", wantError: "65535"},
		{name: "port in letters", value: "eu.example.com:https", wantError: "not a host"},
		{name: "half an address", value: "10.1", wantError: "whole IP address"},
		{name: "address out of range", value: "1.2.3.256", wantError: "whole IP address"},
		{name: "IPv6 without brackets", value: "2001:db8::1", wantError: "not a host"},
		{name: "IPv4 in brackets", value: "[192.0.2.1]", wantError: "not a host"},
		{name: "zone", value: "[fe80::1%25eth0]", wantError: "not a host"},
		{name: "other script", value: "bücher.example", wantError: "no valid host"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, errs := Parse(map[string]string{storagev1.AnnotationDirectEndpoint: tt.value})
			switch {
			case tt.wantError == "" && (len(errs) > 0 || got == nil || got.URL != tt.want):
				t.Errorf("got %+v and %v, want %s", got, errs, tt.want)
			case tt.wantError != "" && (got != nil || len(errs) != 1 || errs[0].Field != urlField || !strings.Contains(errs[0].Detail, tt.wantError)):
				t.Errorf("got %+v and %v, want one error at the annotation with %q", got, errs, tt.wantError)
			}
		})
	}
}

func TestPasswordInURLIsNotRepeated(t *testing.T) {
	_, errs := Parse(map[string]string{storagev1.AnnotationDirectEndpoint: "https://me:s3cret@eu.example.com"})
	if len(errs) != 1 || strings.Contains(errs.ToAggregate().Error(), "s3cret") {
		t.Errorf("errors %v, want one without the password", errs)
	}
}

func TestParse(t *testing.T) {
	certificate, key, err := cert.GenerateSelfSignedCertKey("eu.example.com", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.StdEncoding.EncodeToString
	const host = "eu.example.com"
	for _, tt := range []struct {
		name                string
		host, insecure, ca  string
		want                *Endpoint
		wantField, wantText string
	}{
		{name: "nothing"},
		{name: "no endpoint", insecure: "true"},
		{name: "insecure", host: host, insecure: "true", want: &Endpoint{URL: "https://" + host, Insecure: true}},
		{name: "not insecure", host: host, insecure: "false", want: &Endpoint{URL: "https://" + host}},
		{name: "insecure misspelt", host: host, insecure: "True", wantField: insecureField, wantText: `"True"`},
		{name: "CA", host: host, ca: encode(certificate), want: &Endpoint{URL: "https://" + host, CAData: certificate}},
		{name: "CA in lines", host: host, ca: encode(certificate)[:76] + "\n" + encode(certificate)[76:],
			want: &Endpoint{URL: "https://" + host, CAData: certificate}},
		{name: "CA and insecure", host: host, ca: encode(certificate), insecure: "true", wantField: insecureField, wantText: "remove one"},
		{name: "bad CA and insecure", host: host, ca: "%", insecure: "true", wantField: caField, wantText: "base64"},
		{name: "PEM without base64", host: host, ca: string(certificate), wantField: caField, wantText: "base64"},
		{name: "URL-safe base64", host: host, ca: "-_-_", wantField: caField, wantText: "base64"},
		{name: "not PEM", host: host, ca: encode([]byte("hello")), wantField: caField, wantText: "not PEM"},
		{name: "blanks", host: host, ca: encode([]byte(" \n")), wantField: caField, wantText: "no certificate"},
		{name: "key", host: host, ca: encode(key), wantField: caField, wantText: "replace it"},
		{name: "certificate and key", host: host, ca: encode(append(certificate, key...)), wantField: caField, wantText: "block 3"},
		{name: "broken certificate", host: host, ca: encode([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")),
			wantField: caField, wantText: "no certificate"},
		{name: "something behind", host: host, ca: encode(append(certificate, "rest"...)), wantField: caField, wantText: "not PEM"},
		{name: "bad CA without endpoint", ca: "%", wantField: caField, wantText: "base64"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, errs := Parse(map[string]string{
				storagev1.AnnotationDirectEndpoint:         tt.host,
				storagev1.AnnotationDirectEndpointInsecure: tt.insecure,
				storagev1.AnnotationDirectEndpointCAData:   tt.ca,
			})
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("endpoint (-want +got):\n%s", diff)
			}
			if tt.wantField == "" && len(errs) > 0 {
				t.Errorf("errors %v", errs)
			}
			if tt.wantField != "" && (len(errs) == 0 || errs[0].Field != tt.wantField || !strings.Contains(errs[0].Error(), tt.wantText)) {
				t.Errorf("errors %v, want one at %s with %q", errs, tt.wantField, tt.wantText)
			}
			if text := errs.ToAggregate(); text != nil && strings.Contains(text.Error(), "PRIVATE") {
				t.Errorf("a private key is repeated: %v", text)
			}
		})
	}
}

func TestEveryFaultAtOnce(t *testing.T) {
	errs := ValidateAnnotations(map[string]string{
		storagev1.AnnotationDirectEndpoint:         "http://x",
		storagev1.AnnotationDirectEndpointInsecure: "true",
		storagev1.AnnotationDirectEndpointCAData:   "%",
		storagev1.AnnotationStreamIdleTimeout:      "5m",
		"other":                                    "%",
	})
	var fields []string
	for _, err := range errs {
		fields = append(fields, err.Field)
	}
	if diff := cmp.Diff([]string{urlField, caField, insecureField, idleField}, fields); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
}

func TestIdleTimeout(t *testing.T) {
	for _, tt := range []struct {
		value   string
		want    time.Duration
		wantErr bool
	}{
		{value: "0", want: 0},
		{value: "3600", want: time.Hour},
		{value: "2147483647", want: maxIdleSeconds * time.Second},
		{value: "2147483648", wantErr: true},
		{value: "-1", wantErr: true},
		{value: "1.5", wantErr: true},
		{value: "1h", wantErr: true},
		{value: " 1", wantErr: true},
	} {
		got, err := IdleTimeout(map[string]string{storagev1.AnnotationStreamIdleTimeout: tt.value})
		if (err != nil) != tt.wantErr || (err == nil && (got == nil || *got != tt.want)) {
			t.Errorf("%q: got %v, %v", tt.value, got, err)
		}
	}
	if got, err := IdleTimeout(nil); got != nil || err != nil {
		t.Errorf("without annotation: %v, %v", got, err)
	}
}
