package cli_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
)

const spacesPath = "apis/cluster.loft.sh/v1/"

// fakeSpaces are the spaces of one cluster, which fall asleep and wake as they are told.
type fakeSpaces map[string]*clusterv1.Space

// serve answers what 2.x clients ask of a cluster's spaces; false: it is something else.
func (s fakeSpaces) serve(m *fakeManager, w http.ResponseWriter, r *http.Request, path string) bool {
	rest, ok := strings.CutPrefix(path, spacesPath)
	if !ok {
		return false
	}
	if r.Header.Get("X-Sleep-Mode-Ignore") != "true" {
		m.t.Errorf("%s %s counts as activity", r.Method, path)
	}
	resource, name, _ := strings.Cut(rest, "/")
	if resource == "namespaces" {
		name, _, _ = strings.Cut(name, "/")
		s.sleepMode(w, r, name, m.stuck)
		return true
	}
	space, found := s[name]
	switch {
	case r.Method == http.MethodPost:
		s.create(w, r)
	case name == "":
		list := &clusterv1.SpaceList{TypeMeta: clusterMeta("SpaceList")}
		for _, space := range s {
			list.Items = append(list.Items, *space)
		}
		answer(w, list)
	case !found:
		refuse(w, http.StatusNotFound, "not found")
	case r.Method == http.MethodDelete:
		delete(s, name)
		answer(w, &metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusSuccess})
	default:
		answer(w, space)
	}
	return true
}

func (s fakeSpaces) create(w http.ResponseWriter, r *http.Request) {
	var space clusterv1.Space
	if err := json.NewDecoder(r.Body).Decode(&space); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	if s[space.Name] != nil {
		refuse(w, http.StatusConflict, `spaces.cluster.loft.sh "`+space.Name+`" already exists`)
		return
	}
	space.TypeMeta, space.UID = clusterMeta("Space"), "1"
	space.CreationTimestamp = metav1.NewTime(time.Now().Add(-time.Hour))
	space.Status = clusterv1.SpaceStatus{Phase: corev1.NamespaceActive,
		Owner:           &clusterv1.SpaceOwner{},
		SleepModeConfig: &clusterv1.SleepModeConfig{TypeMeta: clusterMeta("SleepModeConfig"), ObjectMeta: metav1.ObjectMeta{Name: "config", ResourceVersion: "1"}}}
	if space.Spec.Team != "" {
		space.Status.Owner.Team = &clusterv1.EntityInfo{Name: space.Spec.Team}
	} else {
		space.Status.Owner.User = &clusterv1.EntityInfo{Name: space.Spec.User}
	}
	s[space.Name] = &space
	created(w, &space)
}

// sleepMode is the list of one, and the creation that updates it.
func (s fakeSpaces) sleepMode(w http.ResponseWriter, r *http.Request, namespace string, stuck bool) {
	space := s[namespace]
	if space == nil {
		refuse(w, http.StatusForbidden, "forbidden")
		return
	}
	config := space.Status.SleepModeConfig
	if r.Method == http.MethodPost {
		var given clusterv1.SleepModeConfig
		if err := json.NewDecoder(r.Body).Decode(&given); err != nil || given.Name != config.Name || given.ResourceVersion != config.ResourceVersion {
			refuse(w, http.StatusConflict, "this is not the configuration")
			return
		}
		config.Spec, config.Status.LastActivity = given.Spec, given.Status.LastActivity
		config.Status.SleepingSince, config.Status.SleepType = 0, ""
		if config.Spec.ForceSleep && !stuck {
			config.Status.SleepingSince, config.Status.SleepType = time.Now().Add(-3*time.Hour).Unix(), clusterv1.SleepTypeForced
		}
		if config.Spec.ForceSleepDuration != nil {
			config.Status.SleepType = clusterv1.SleepTypeForcedDuration
		}
		created(w, config)
		return
	}
	answer(w, &clusterv1.SleepModeConfigList{TypeMeta: clusterMeta("SleepModeConfigList"), Items: []clusterv1.SleepModeConfig{*config}})
}

func clusterMeta(kind string) metav1.TypeMeta {
	return metav1.TypeMeta{Kind: kind, APIVersion: clusterv1.SchemeGroupVersion.String()}
}
