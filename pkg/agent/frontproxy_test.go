package agent

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/request/headerrequest"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"loft.sh/agent/pkg/agent/registry"
	"loft.sh/agent/pkg/statuserr"
)

// published is what an API server publishes.
func published(data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: authenticationConfigMap}, Data: data,
	}
}

func newTestFrontProxy(t *testing.T, objects ...runtime.Object) (*frontProxy, *fake.Clientset) {
	t.Helper()
	client := fake.NewClientset(objects...)
	f := &frontProxy{client: client, source: &genericoptions.DynamicRequestHeaderController{}}
	var err error
	if f.source.ConfigMapCAController, err = f.configMapCA("front-proxy", frontProxyCAKey); err != nil {
		t.Fatal(err)
	}
	f.source.RequestHeaderAuthRequestController = headerrequest.NewRequestHeaderAuthRequestController(
		authenticationConfigMap, metav1.NamespaceSystem, client, "u", "i", "g", "e", "n")
	unread := errors.New("not read yet")
	f.problem.Store(&unread)
	return f, client
}

func TestFrontProxyIsReadLater(t *testing.T) {
	ca, err := newStandIn(nil) // any CA
	if err != nil {
		t.Fatal(err)
	}
	f, client := newTestFrontProxy(t, published(map[string]string{frontProxyCAKey: string(ca.bundle)}))
	away := errors.New("connection refused")
	var answers bool
	client.PrependReactor("get", "configmaps", func(clienttesting.Action) (bool, runtime.Object, error) {
		return !answers, nil, away
	})
	if err := f.check(nil); err == nil {
		t.Error("ready before anything was read")
	}
	if err := f.read(t.Context()); err == nil {
		t.Error("read while the API server is away")
	}
	if _, ok := f.source.VerifyOptions(); ok {
		t.Error("certificates are verified with nothing")
	}
	code := func() int {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{}}}
		w := httptest.NewRecorder()
		_, codecs := registry.Scheme()
		f.guard(http.NotFoundHandler(), statuserr.NewWriter(codecs)).ServeHTTP(w, r)
		return w.Code
	}
	if got := code(); got != http.StatusServiceUnavailable {
		t.Errorf("code %d for a certificate that cannot be checked, want 503", got)
	}
	answers = true
	if err := f.read(t.Context()); err == nil {
		t.Error("read, and the CA has not arrived")
	}
	go f.source.ConfigMapCAController.Run(t.Context(), 1)
	f.run(t.Context())
	if err := f.check(nil); err != nil {
		t.Errorf("not ready: %v", err)
	}
	if got := code(); got != http.StatusNotFound {
		t.Errorf("code %d once certificates can be checked, want the door's own", got)
	}
	if _, ok := f.source.VerifyOptions(); !ok {
		t.Error("the CA is not in use")
	}
}

func TestFrontProxyWithoutAggregationLayer(t *testing.T) {
	f, _ := newTestFrontProxy(t, published(nil))
	if err := f.read(t.Context()); err != nil {
		t.Errorf("a cluster without a front-proxy CA: %v", err)
	}
	if _, ok := f.source.VerifyOptions(); ok {
		t.Error("certificates are verified with nothing")
	}
}

func TestStandIn(t *testing.T) {
	f, _ := newTestFrontProxy(t)
	s, err := newStandIn(f.source)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(s.CurrentCABundleContent())
	if block == nil {
		t.Fatal("no CA stands in")
	}
	if _, err := x509.ParseCertificate(block.Bytes); err != nil {
		t.Error(err)
	}
	if _, ok := s.VerifyOptions(); ok {
		t.Error("the stand-in verifies certificates")
	}
	loaded, err := dynamiccertificates.NewStaticCAContent("loaded", s.bundle)
	if err != nil {
		t.Fatal(err)
	}
	other, err := newStandIn(loaded)
	if err != nil {
		t.Fatal(err)
	}
	if string(other.CurrentCABundleContent()) != string(s.bundle) {
		t.Error("the CA stands in for one that is there")
	}
}
