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

// workload is a program as its manifests run it.
type workload struct {
	// folder holds the manifests.
	folder string
	// portFlags says which flag sets which container port.
	portFlags map[string]string
	// services are the ports of its Services, by Service and name of the target port.
	services map[string]map[string]int32
	// inner is the Service of the inner port.
	inner string
}

const innerPort = "https-api"

var workloads = []workload{
	{
		folder:    "agent",
		portFlags: map[string]string{innerPort: "--secure-port", "https-direct": "--direct-secure-port", "http-direct": "--direct-insecure-port"},
		services: map[string]map[string]int32{
			"loft-agent-apiservice": {innerPort: 443}, "loft-agent": {"https-direct": 443, "http-direct": 80},
		},
		inner: "loft-agent-apiservice",
	},
	{
		folder:    "manager",
		portFlags: map[string]string{innerPort: "--secure-port", "https": "--public-secure-port", "http": "--public-insecure-port"},
		services: map[string]map[string]int32{
			"loft-manager-apiservice": {innerPort: 443}, "loft-manager": {"https": 443, "http": 80},
		},
		inner: "loft-manager-apiservice",
	},
}

// forEach runs a test with each workload.
func forEach(t *testing.T, test func(*testing.T, workload)) {
	for _, w := range workloads {
		t.Run(w.folder, func(t *testing.T) { test(t, w) })
	}
}

func (w workload) objects(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	objects, err := objectsOf(w.folder)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func (w workload) deployment(t *testing.T) appsv1.Deployment {
	t.Helper()
	return decode[appsv1.Deployment](t, w.objects(t), "Deployment")[0]
}

func (w workload) container(t *testing.T) corev1.Container {
	t.Helper()
	return w.deployment(t).Spec.Template.Spec.Containers[0]
}

// args returns the flags of the Deployment with their values.
func (w workload) args(t *testing.T) map[string]string {
	t.Helper()
	list, err := argsOf(w.folder)
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

func (w workload) containerPorts(t *testing.T) map[string]int32 {
	t.Helper()
	ports := map[string]int32{}
	for _, port := range w.container(t).Ports {
		ports[port.Name] = port.ContainerPort
	}
	return ports
}

func TestPortsAgreeWithFlags(t *testing.T) {
	forEach(t, func(t *testing.T, w workload) {
		flags, want := w.args(t), map[string]int32{}
		for name, flag := range w.portFlags {
			port, err := strconv.ParseInt(flags[flag], 10, 32)
			if err != nil {
				t.Errorf("flag %s: %v", flag, err)
			}
			want[name] = int32(port)
		}
		if diff := cmp.Diff(want, w.containerPorts(t)); diff != "" {
			t.Errorf("container ports (-flags +Deployment):\n%s", diff)
		}
	})
}

func TestFilesOfFlagsAreMounted(t *testing.T) {
	forEach(t, func(t *testing.T, w workload) {
		for flag, file := range w.args(t) {
			if !strings.HasSuffix(flag, "-file") {
				continue
			}
			mounted := slices.ContainsFunc(w.container(t).VolumeMounts, func(m corev1.VolumeMount) bool {
				return strings.HasPrefix(file, m.MountPath+"/") && m.SubPath == ""
			})
			if !mounted {
				t.Errorf("%s=%s is on no volume", flag, file)
			}
		}
	})
}

// servicePorts returns the ports of the Services by Service and name of the target port.
func (w workload) servicePorts(t *testing.T, objects []*unstructured.Unstructured) map[string]map[string]int32 {
	t.Helper()
	podLabels := labels.Set(w.deployment(t).Spec.Template.Labels)
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
	forEach(t, func(t *testing.T, w workload) {
		got := w.servicePorts(t, w.objects(t))
		if diff := cmp.Diff(w.services, got); diff != "" {
			t.Errorf("Services (-want +got):\n%s", diff)
		}
		for _, target := range got {
			for name := range target {
				if _, ok := w.containerPorts(t)[name]; !ok {
					t.Errorf("target port %q is no container port", name)
				}
			}
		}
	})
}

// TestServicesThatExpose: never the inner port, and never a token in clear.
func TestServicesThatExpose(t *testing.T) {
	want := map[string]map[string]int32{
		"loft-agent-loadbalancer": {"https-direct": 443},
		"loft-agent-nodeport":     {"https-direct": 443},
	}
	if diff := cmp.Diff(want, workloads[0].servicePorts(t, exampleObjects(t, "expose"))); diff != "" {
		t.Errorf("Services that expose it (-want +got):\n%s", diff)
	}
}

func TestAPIServicePointsToTheInnerPort(t *testing.T) {
	forEach(t, func(t *testing.T, w workload) {
		apiService := decode[apiregistrationv1.APIService](t, w.objects(t), "APIService")[0]
		ref := apiService.Spec.Service
		if got := w.services[w.inner][innerPort]; ref.Name != w.inner || ref.Port == nil || got != *ref.Port {
			t.Errorf("APIService points to %v, want the inner port", ref)
		}
		if apiService.Spec.InsecureSkipTLSVerify {
			t.Error("the APIService does not check the server's certificate")
		}
		if want := apiService.Spec.Version + "." + apiService.Spec.Group; apiService.Name != want {
			t.Errorf("name = %q, want %q", apiService.Name, want)
		}
	})
}

func TestSelectorsMatchThePods(t *testing.T) {
	forEach(t, func(t *testing.T, w workload) {
		objects, deployment := w.objects(t), w.deployment(t)
		policy := decode[networkingv1.NetworkPolicy](t, objects, "NetworkPolicy")[0]
		selectors := map[string]*metav1.LabelSelector{
			"Deployment":          deployment.Spec.Selector,
			"NetworkPolicy":       &policy.Spec.PodSelector,
			"PodDisruptionBudget": decode[policyv1.PodDisruptionBudget](t, objects, "PodDisruptionBudget")[0].Spec.Selector,
			"anti-affinity": deployment.Spec.Template.Spec.Affinity.PodAntiAffinity.
				PreferredDuringSchedulingIgnoredDuringExecution[0].PodAffinityTerm.LabelSelector,
			"topology spread": deployment.Spec.Template.Spec.TopologySpreadConstraints[0].LabelSelector,
		}
		for name, selector := range selectors {
			parsed, err := metav1.LabelSelectorAsSelector(selector)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if parsed.Empty() || !parsed.Matches(labels.Set(deployment.Spec.Template.Labels)) {
				t.Errorf("%s selects %q, which are not the pods", name, parsed)
			}
		}
	})
}

func TestNetworkPolicyOpensTheListeners(t *testing.T) {
	forEach(t, func(t *testing.T, w workload) {
		policy := decode[networkingv1.NetworkPolicy](t, w.objects(t), "NetworkPolicy")[0]
		var got []int32
		for _, port := range policy.Spec.Ingress[0].Ports {
			got = append(got, port.Port.IntVal)
		}
		want := slices.Sorted(maps.Values(w.containerPorts(t)))
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("open ports (-want +got):\n%s", diff)
		}
	})
}

func TestProbesAskTheInnerPort(t *testing.T) {
	forEach(t, func(t *testing.T, w workload) {
		c := w.container(t)
		for name, probe := range map[string]*corev1.Probe{"startup": c.StartupProbe, "liveness": c.LivenessProbe, "readiness": c.ReadinessProbe} {
			want := corev1.HTTPGetAction{Path: "/livez", Port: probe.HTTPGet.Port, Scheme: corev1.URISchemeHTTPS}
			if name == "readiness" {
				want.Path = "/readyz"
			}
			if diff := cmp.Diff(want, *probe.HTTPGet); diff != "" || probe.HTTPGet.Port.StrVal != innerPort {
				t.Errorf("%s probe asks %v", name, probe.HTTPGet)
			}
		}
	})
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
	ports := workloads[0].services["loft-agent"]
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
