package agent

import (
	"context"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/component-base/version"
	"k8s.io/klog/v2"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
	"loft.sh/agent/pkg/agent/trust"
)

// statusPeriod is how often version and UID of the host cluster are read again: an upgrade is
// noticed within it.
const statusPeriod = time.Minute

// host is what is known of the host cluster; replaced whole.
type host struct{ version, uid string }

// status is the status of the Kubernetes object.
type status struct {
	hostClient kubernetes.Interface
	trust      *trust.Loader
	// certificates are the serving certificates.
	certificates keeper
	host         atomic.Pointer[host]
	started      metav1.Time
}

func newStatus(hostClient kubernetes.Interface, loader *trust.Loader, certificates keeper) *status {
	return &status{hostClient: hostClient, trust: loader, certificates: certificates, started: metav1.Now()}
}

// run reads what it takes to fill the status, until ctx is done.
func (s *status) run(ctx context.Context) {
	wait.UntilWithContext(ctx, func(ctx context.Context) {
		if err := s.refresh(ctx); err != nil && ctx.Err() == nil {
			klog.ErrorS(err, "Host cluster's version and UID not read, the last ones are kept")
		}
	}, statusPeriod)
}

func (s *status) refresh(ctx context.Context) error {
	info, err := s.hostClient.Discovery().ServerVersion()
	if err != nil {
		return err
	}
	namespace, err := s.hostClient.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		return err
	}
	s.host.Store(&host{version: info.GitVersion, uid: string(namespace.UID)})
	return nil
}

// Status implements registry's StatusSource.
func (s *status) Status() clusterv1.KubernetesStatus {
	st := clusterv1.KubernetesStatus{AgentVersion: version.Get().GitVersion}
	known := s.host.Load()
	if known != nil {
		st.HostVersion, st.HostUID = known.version, known.uid
	}
	certified := s.condition(clusterv1.ConditionServingCertificateLoaded, s.certificates.Problem() == "", "Loaded", s.certificateProblem)
	trusted := s.condition(clusterv1.ConditionTrustBundleLoaded, s.trust.Loaded() && s.trust.Problem() == "", "Loaded", s.trustProblem)
	ready := s.condition(clusterv1.ConditionReady, s.trust.Loaded() && known != nil, "Serving", s.readyProblem)
	st.Conditions = []metav1.Condition{ready, trusted, certified}
	return st
}

func (s *status) trustProblem() (reason, message string) {
	if problem := s.trust.Problem(); problem != "" {
		return "BundleRefused", problem
	}
	return "NoBundle", "no trust bundle has been loaded; direct endpoint tokens are refused"
}

func (s *status) certificateProblem() (reason, message string) {
	return "CertificateRefused", s.certificates.Problem()
}

func (s *status) readyProblem() (reason, message string) {
	if s.host.Load() == nil {
		return "HostUnknown", "the host cluster's API server has not been reached yet"
	}
	return s.trustProblem()
}

func (s *status) condition(kind string, ok bool, reason string, problem func() (string, string)) metav1.Condition {
	c := metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: reason, LastTransitionTime: s.started}
	if !ok {
		c.Status = metav1.ConditionFalse
		c.Reason, c.Message = problem()
	}
	return c
}
