package view

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	storagev1 "loft.sh/agent/apis/storage/v1"
)

const (
	// defaultManager is the field manager of whoever names none.
	defaultManager = "loft-manager-api"
	// maxApplyBytes is what the generic API server reads at most.
	maxApplyBytes = 3 << 20
	// maxManagerBytes is how long the name of a field manager may be.
	maxManagerBytes = 128
)

// origin is what a storage is not told of a request, and needs to pass it on.
type origin struct {
	// agent is the client's program.
	agent string
	// configuration is what is applied; nil where the request is no server-side apply.
	configuration []byte
	force         bool
}

type originKey struct{}

// WithApply keeps the configuration of a server-side apply for the storage, which gets to see its
// outcome alone. The central cluster keeps who applied which fields, so it must be told what was
// applied, not what came of it.
func WithApply(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o := origin{agent: r.UserAgent()}
		if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); r.Method == http.MethodPatch && err == nil &&
			media == string(types.ApplyYAMLPatchType) {
			body, err := io.ReadAll(io.LimitReader(r.Body, maxApplyBytes+1))
			// The storage never sees a body that ended early or is too long: the API server,
			// who reads the same, refuses it.
			r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), failing{err}))
			o.configuration = body
			o.force, _ = strconv.ParseBool(r.URL.Query().Get("force"))
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), originKey{}, o)))
	})
}

// failing fails as reading did.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return 0, io.EOF
}

func isApply(ctx context.Context) bool {
	o, _ := ctx.Value(originKey{}).(origin)
	return o.configuration != nil
}

// fieldManager is the name that a client gives, or its program's, as in the API server.
func fieldManager(ctx context.Context, named string) string {
	if named != "" {
		return named
	}
	o, _ := ctx.Value(originKey{}).(origin)
	program, _, _ := strings.Cut(o.agent, "/")
	if program == "" || len(program) > maxManagerBytes {
		return defaultManager
	}
	return program
}

// apply passes a server-side apply on.
func (s *Store[V, S, L]) apply(ctx context.Context, name string, options *metav1.UpdateOptions) (runtime.Object, error) {
	o, _ := ctx.Value(originKey{}).(origin)
	configuration := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(o.configuration, &configuration.Object); err != nil {
		return nil, apierrors.NewBadRequest("error decoding the configuration: " + err.Error())
	}
	configuration.SetGroupVersionKind(storagev1.SchemeGroupVersion.WithKind(kindOf(s.kind.NewStored())))
	data, err := json.Marshal(configuration)
	if err != nil {
		return nil, apierrors.NewBadRequest("error decoding the configuration: " + err.Error())
	}
	applied, err := s.kind.Client.Patch(ctx, name, types.ApplyYAMLPatchType, data, metav1.PatchOptions{
		DryRun: options.DryRun, FieldManager: options.FieldManager, Force: &o.force,
	})
	if err != nil {
		return nil, s.translate(err)
	}
	return s.show(applied), nil
}
