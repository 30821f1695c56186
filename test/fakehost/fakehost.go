// Package fakehost serves any number of fake connected clusters from one listener, for tests in which a
// thousand real API servers would be too many.
//
// What surprises: a fake keeps whole objects. What is applied replaces what was there; there are no
// defaults, no validation and no field managers. What needs those needs test/controlplane.
package fakehost

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/yaml"
)

// Server serves fakes below a path each.
type Server struct {
	*httptest.Server
	lock  sync.Mutex
	hosts map[string]*Host
}

// Start serves until Close.
func Start() *Server {
	s := &Server{hosts: map[string]*Host{}}
	s.Server = httptest.NewUnstartedServer(s)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.EnableHTTP2 = true
	s.StartTLS()
	return s
}

// Add makes a cluster with a namespace kube-system of that UID.
func (s *Server) Add(name, uid string) *Host {
	h := newHost(uid)
	s.lock.Lock()
	defer s.lock.Unlock()
	s.hosts[name] = h
	return h
}

// Kubeconfig leads to the cluster with that name, whether it exists or not.
func (s *Server) Kubeconfig(name string) []byte {
	return Kubeconfig(s.URL+"/"+name, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
}

// Kubeconfig leads to a server with a token.
func Kubeconfig(server string, ca []byte) []byte {
	data, err := clientcmd.Write(clientcmdapi.Config{
		CurrentContext: "c",
		Contexts:       map[string]*clientcmdapi.Context{"c": {Cluster: "c", AuthInfo: "c"}},
		Clusters:       map[string]*clientcmdapi.Cluster{"c": {Server: server, CertificateAuthorityData: ca}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"c": {Token: "t0p-secret"}},
	})
	if err != nil {
		panic(err) // only a fault of this package can have this
	}
	return data
}

// ServeHTTP finds the cluster by the first segment of the path.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	s.lock.Lock()
	h := s.hosts[name]
	s.lock.Unlock()
	if h == nil {
		refuse(w, http.StatusNotFound, "NotFound", "no such cluster")
		return
	}
	h.serve(w, r, "/"+path)
}

// Host is one fake cluster.
type Host struct {
	lock    sync.Mutex
	version int
	objects map[string]map[string]any // by path
	// answers replace what the fake would say, by method and path.
	answers map[string]http.HandlerFunc
	// statuses are what the cluster itself says of objects, by path.
	statuses map[string]any
	writes   []string
}

func newHost(uid string) *Host {
	h := &Host{objects: map[string]map[string]any{}, answers: map[string]http.HandlerFunc{}, statuses: map[string]any{}}
	h.objects["/api/v1/namespaces/kube-system"] = map[string]any{
		"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "kube-system", "uid": uid},
	}
	return h
}

// Answer has handler answer requests with that method and path; nil: the fake itself again.
func (h *Host) Answer(method, path string, handler http.HandlerFunc) {
	h.lock.Lock()
	defer h.lock.Unlock()
	if handler == nil {
		delete(h.answers, method+" "+path)
		return
	}
	h.answers[method+" "+path] = handler
}

// SetStatus has an object, once it is there, show a status that no writer changes.
func (h *Host) SetStatus(path string, status any) {
	h.lock.Lock()
	defer h.lock.Unlock()
	h.statuses[path] = status
}

// Set puts an object at a path, as somebody else would.
func (h *Host) Set(path string, object map[string]any) {
	h.lock.Lock()
	defer h.lock.Unlock()
	h.store(path, object)
}

// Object returns a copy of the object at a path; nil: there is none.
func (h *Host) Object(path string) map[string]any {
	h.lock.Lock()
	defer h.lock.Unlock()
	object, found := h.objects[path]
	if !found {
		return nil
	}
	return runtime.DeepCopyJSON(object)
}

// Paths returns the paths of all objects with that prefix.
func (h *Host) Paths(prefix string) []string {
	h.lock.Lock()
	defer h.lock.Unlock()
	var paths []string
	for path := range h.objects {
		if strings.HasPrefix(path, prefix) {
			paths = append(paths, path)
		}
	}
	return paths
}

// Writes returns method and path of every request that changed something, in order, and forgets them.
func (h *Host) Writes() []string {
	h.lock.Lock()
	defer h.lock.Unlock()
	writes := h.writes
	h.writes = nil
	return writes
}

func (h *Host) serve(w http.ResponseWriter, r *http.Request, path string) {
	h.lock.Lock()
	answer := h.answers[r.Method+" "+path]
	h.lock.Unlock()
	if answer != nil {
		answer(w, r)
		return
	}
	switch {
	case path == "/version":
		write(w, http.StatusOK, map[string]any{"major": "1", "minor": "37", "gitVersion": "v1.37.2"})
	case r.Method == http.MethodPatch:
		h.apply(w, r, path)
	case r.Method == http.MethodDelete:
		h.delete(w, path)
	default:
		h.get(w, r, path)
	}
}

func (h *Host) get(w http.ResponseWriter, r *http.Request, path string) {
	h.lock.Lock()
	defer h.lock.Unlock()
	if object, found := h.objects[path]; found {
		if status := h.statuses[path]; status != nil {
			object = maps.Clone(object)
			object["status"] = status
		}
		write(w, http.StatusOK, object)
		return
	}
	resource := path[strings.LastIndex(path, "/")+1:]
	if kind, isList := listKinds[resource]; isList {
		write(w, http.StatusOK, h.list(kind, resource, r.URL.Query().Get("labelSelector")))
		return
	}
	refuse(w, http.StatusNotFound, "NotFound", path+" not found")
}

// listKinds are the resources that can be listed, in all namespaces.
var listKinds = map[string]string{"clusterrolebindings": "ClusterRoleBinding", "rolebindings": "RoleBinding"}

func (h *Host) list(kind, resource, selector string) map[string]any {
	key, value, _ := strings.Cut(selector, "=")
	items := []any{}
	for path, object := range h.objects {
		labels, _ := metadata(object)["labels"].(map[string]any)
		if strings.Contains(path, "/"+resource+"/") && (selector == "" || labels[key] == value) {
			items = append(items, object)
		}
	}
	return map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind + "List", "metadata": map[string]any{}, "items": items}
}

func (h *Host) apply(w http.ResponseWriter, r *http.Request, path string) {
	data, err := io.ReadAll(r.Body)
	var object map[string]any
	if err != nil || yaml.Unmarshal(data, &object) != nil {
		refuse(w, http.StatusBadRequest, "BadRequest", "not an object")
		return
	}
	h.lock.Lock()
	defer h.lock.Unlock()
	if namespace, _ := metadata(object)["namespace"].(string); namespace != "" && namespace != "kube-system" {
		if _, found := h.objects["/api/v1/namespaces/"+namespace]; !found {
			refuse(w, http.StatusNotFound, "NotFound", fmt.Sprintf("namespaces %q not found", namespace))
			return
		}
	}
	if h.store(path, object) {
		h.writes = append(h.writes, "PATCH "+path)
	}
	write(w, http.StatusOK, h.objects[path])
}

// store says whether it changed anything. The caller holds the lock.
func (h *Host) store(path string, object map[string]any) (changed bool) {
	m := metadata(object)
	before, found := h.objects[path]
	if found {
		m["uid"], m["resourceVersion"] = metadata(before)["uid"], metadata(before)["resourceVersion"]
		one, _ := json.Marshal(before)
		if two, _ := json.Marshal(object); string(one) == string(two) {
			return false
		}
	}
	h.version++
	m["resourceVersion"] = fmt.Sprint(h.version)
	if !found {
		m["uid"] = base64.RawURLEncoding.EncodeToString([]byte(path))
	}
	h.objects[path] = object
	return true
}

func (h *Host) delete(w http.ResponseWriter, path string) {
	h.lock.Lock()
	defer h.lock.Unlock()
	if _, found := h.objects[path]; !found {
		refuse(w, http.StatusNotFound, "NotFound", path+" not found")
		return
	}
	delete(h.objects, path)
	h.writes = append(h.writes, "DELETE "+path)
	write(w, http.StatusOK, map[string]any{"apiVersion": "v1", "kind": "Status", "status": "Success"})
}

func metadata(object map[string]any) map[string]any {
	m, ok := object["metadata"].(map[string]any)
	if !ok {
		m = map[string]any{}
		object["metadata"] = m
	}
	return m
}

func refuse(w http.ResponseWriter, code int, reason, message string) {
	write(w, code, map[string]any{
		"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message,
	})
}

func write(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}
