package artifacts

import (
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

// portFlags says which flag sets which container port.
var portFlags = map[string]string{
	"https-api":    "--secure-port",
	"https-direct": "--direct-secure-port",
	"http-direct":  "--direct-insecure-port",
}

func deployment(t *testing.T) appsv1.Deployment {
	t.Helper()
	return decode[appsv1.Deployment](t, agentObjects(t), "Deployment")[0]
}

func container(t *testing.T) corev1.Container {
	t.Helper()
	return deployment(t).Spec.Template.Spec.Containers[0]
}

// args returns the flags of the Deployment with their values.
func args(t *testing.T) map[string]string {
	t.Helper()
	list, err := AgentArgs()
	if err != nil {
		t.Fatal(err)
	}
	flags := map[string]string{}
	for _, arg := range list {
		name, value, ok := strings.Cut(arg, "=")
		if !ok || !strings.HasPrefix(name, "--") {
			t.Errorf("argument %q is not --flag=value", arg)
		}
		if _, twice := flags[name]; twice {
			t.Errorf("flag %s stands twice", name)
		}
		flags[name] = value
	}
	return flags
}

func containerPorts(t *testing.T) map[string]int32 {
	t.Helper()
	ports := map[string]int32{}
	for _, port := range container(t).Ports {
		ports[port.Name] = port.ContainerPort
	}
	return ports
}

func TestPortsAgreeWithFlags(t *testing.T) {
	flags, want := args(t), map[string]int32{}
	for name, flag := range portFlags {
		port, err := strconv.ParseInt(flags[flag], 10, 32)
		if err != nil {
			t.Errorf("flag %s: %v", flag, err)
		}
		want[name] = int32(port)
	}
	if diff := cmp.Diff(want, containerPorts(t)); diff != "" {
		t.Errorf("container ports (-flags +Deployment):\n%s", diff)
	}
}

func TestFilesOfFlagsAreMounted(t *testing.T) {
	flags := args(t)
	for flag, file := range flags {
		if !strings.HasSuffix(flag, "-file") {
			continue
		}
		mounted := slices.ContainsFunc(container(t).VolumeMounts, func(m corev1.VolumeMount) bool {
			return strings.HasPrefix(file, m.MountPath+"/") && m.SubPath == ""
		})
		if !mounted {
			t.Errorf("%s=%s is on no volume", flag, file)
		}
	}
}

// services returns the ports of the agent's Services by Service and name of the target port.
func services(t *testing.T, objects []*unstructured.Unstructured) map[string]map[string]int32 {
	t.Helper()
	podLabels := labels.Set(deployment(t).Spec.Template.Labels)
	byName := map[string]map[string]int32{}
	for _, service := range decode[corev1.Service](t, objects, "Service") {
		if !labels.SelectorFromSet(service.Spec.Selector).Matches(podLabels) || len(service.Spec.Selector) == 0 {
			t.Errorf("Service %q does not select the pods", service.Name)
		}
		byName[service.Name] = map[string]int32{}
		for _, port := range service.Spec.Ports {
			byName[service.Name][port.TargetPort.StrVal] = port.Port
		}
	}
	return byName
}

func TestServices(t *testing.T) {
	want := map[string]map[string]int32{
		"loft-agent-apiservice": {"https-api": 443},
		"loft-agent":            {"https-direct": 443, "http-direct": 80},
	}
	got := services(t, agentObjects(t))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Services of the agent (-want +got):\n%s", diff)
	}
	// Never the inner port, and never a token in clear.
	want = map[string]map[string]int32{
		"loft-agent-loadbalancer": {"https-direct": 443},
		"loft-agent-nodeport":     {"https-direct": 443},
	}
	if diff := cmp.Diff(want, services(t, exampleObjects(t, "expose"))); diff != "" {
		t.Errorf("Services that expose it (-want +got):\n%s", diff)
	}
	for _, target := range got {
		for name := range target {
			if _, ok := containerPorts(t)[name]; !ok {
				t.Errorf("target port %q is no container port", name)
			}
		}
	}
}

func TestAPIServicePointsToTheInnerPort(t *testing.T) {
	apiService := decode[apiregistrationv1.APIService](t, agentObjects(t), "APIService")[0]
	ref := apiService.Spec.Service
	if got := services(t, agentObjects(t))[ref.Name]["https-api"]; ref.Port == nil || got != *ref.Port {
		t.Errorf("APIService points to %v, want the inner port", ref)
	}
	if apiService.Spec.InsecureSkipTLSVerify {
		t.Error("the APIService does not check the agent's certificate")
	}
	if want := apiService.Spec.Version + "." + apiService.Spec.Group; apiService.Name != want {
		t.Errorf("name = %q, want %q", apiService.Name, want)
	}
}

func TestSelectorsMatchThePods(t *testing.T) {
	objects, agent := agentObjects(t), deployment(t)
	policy := decode[networkingv1.NetworkPolicy](t, objects, "NetworkPolicy")[0]
	selectors := map[string]*metav1.LabelSelector{
		"Deployment":          agent.Spec.Selector,
		"NetworkPolicy":       &policy.Spec.PodSelector,
		"PodDisruptionBudget": decode[policyv1.PodDisruptionBudget](t, objects, "PodDisruptionBudget")[0].Spec.Selector,
		"anti-affinity": agent.Spec.Template.Spec.Affinity.PodAntiAffinity.
			PreferredDuringSchedulingIgnoredDuringExecution[0].PodAffinityTerm.LabelSelector,
		"topology spread": agent.Spec.Template.Spec.TopologySpreadConstraints[0].LabelSelector,
	}
	for name, selector := range selectors {
		parsed, err := metav1.LabelSelectorAsSelector(selector)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if parsed.Empty() || !parsed.Matches(labels.Set(agent.Spec.Template.Labels)) {
			t.Errorf("%s selects %q, which are not the agent's pods", name, parsed)
		}
	}
}

func TestNetworkPolicyOpensTheListeners(t *testing.T) {
	policy := decode[networkingv1.NetworkPolicy](t, agentObjects(t), "NetworkPolicy")[0]
	var got []int32
	for _, port := range policy.Spec.Ingress[0].Ports {
		got = append(got, port.Port.IntVal)
	}
	want := slices.Sorted(maps.Values(containerPorts(t)))
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("open ports (-want +got):\n%s", diff)
	}
}

func TestProbesAskTheInnerPort(t *testing.T) {
	c := container(t)
	for name, probe := range map[string]*corev1.Probe{"startup": c.StartupProbe, "liveness": c.LivenessProbe, "readiness": c.ReadinessProbe} {
		want := corev1.HTTPGetAction{Path: "/livez", Port: probe.HTTPGet.Port, Scheme: corev1.URISchemeHTTPS}
		if name == "readiness" {
			want.Path = "/readyz"
		}
		if diff := cmp.Diff(want, *probe.HTTPGet); diff != "" || probe.HTTPGet.Port.StrVal != "https-api" {
			t.Errorf("%s probe asks %v", name, probe.HTTPGet)
		}
	}
}

// route is the part of an HTTPRoute and a TLSRoute that the test looks at.
type route struct {
	Spec struct {
		Rules []struct {
			BackendRefs []struct {
				Name string `json:"name"`
				Port int32  `json:"port"`
			} `json:"backendRefs"`
		} `json:"rules"`
	} `json:"spec"`
}

func TestRoutesLeadToTheOuterPorts(t *testing.T) {
	ports := services(t, agentObjects(t))["loft-agent"]
	files := os.DirFS("expose")
	for _, test := range []struct {
		file, kind string
		wantPort   int32
	}{
		{"httproute.yaml", "HTTPRoute", ports["http-direct"]},
		{"tlsroute.yaml", "TLSRoute", ports["https-direct"]},
	} {
		objects, err := ReadObjects(files, test.file)
		if err != nil {
			t.Fatal(err)
		}
		var found route
		for _, object := range objects {
			if object.GetKind() == test.kind {
				found = convertLoosely[route](t, object)
			}
		}
		backend := found.Spec.Rules[0].BackendRefs[0]
		if backend.Name != "loft-agent" || backend.Port != test.wantPort {
			t.Errorf("%s leads to %v, want loft-agent port %d", test.file, backend, test.wantPort)
		}
	}
	ingress := decode[networkingv1.Ingress](t, exampleObjects(t, "expose"), "Ingress")[0]
	backend := ingress.Spec.Rules[0].HTTP.Paths[0].Backend.Service
	if backend.Name != "loft-agent" || backend.Port.Number != ports["http-direct"] {
		t.Errorf("the Ingress leads to %v", backend)
	}
}

// convertLoosely converts the part of an object that T names.
func convertLoosely[T any](t *testing.T, object *unstructured.Unstructured) T {
	t.Helper()
	var part T
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &part); err != nil {
		t.Fatal(err)
	}
	return part
}
