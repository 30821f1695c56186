package doors

import (
	"net/http"
	"net/http/httptest"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"

	"loft.sh/agent/pkg/statuserr"
)

// TestInside shows what a request is behind a prefix; what two readers could read as two things is refused.
func TestInside(t *testing.T) {
	tests := []struct{ name, uri, want string }{
		{"below", "/x/apis/a?watch=true", "/apis/a?watch=true"},
		{"the prefix", "/x", "/"},
		{"the prefix with a slash", "/x/", "/"},
		{"a slash at the end", "/x/apis/", "/apis/"},
		{"an escape", "/x/apis/a%20b", "/apis/a%20b"},
		{"attack: dots", "/x/apis/../api", ""},
		{"attack: escaped dots", "/x/apis/%2e%2e/api", ""},
		{"attack: one dot", "/x/./api", ""},
		{"attack: nothing between slashes", "/x//api", ""},
		{"attack: an escaped slash", "/x/apis/a%2fb", ""},
		{"attack: an escaped prefix", "/%78/api", ""},
	}
	scheme := runtime.NewScheme()
	scheme.AddUnversionedTypes(schema.GroupVersion{Version: "v1"}, &metav1.Status{})
	refuse := statuserr.NewWriter(serializer.NewCodecFactory(scheme))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			handler := Inside("/x", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				got = r.URL.RequestURI()
				if r.RequestURI != got {
					t.Errorf("RequestURI %q, URL %q", r.RequestURI, got)
				}
			}), refuse)
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, tt.uri, nil))
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if refused := w.Code == http.StatusBadRequest; refused != (tt.want == "") {
				t.Errorf("code %d", w.Code)
			}
		})
	}
}
