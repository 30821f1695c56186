package clusters

import (
	"context"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/gentype"
	"k8s.io/client-go/rest"

	managementv1 "loft.sh/agent/apis/management/v1"
	storagev1 "loft.sh/agent/apis/storage/v1"
	storagescheme "loft.sh/agent/generated/clientset/versioned/scheme"
	"loft.sh/agent/pkg/manager/access"
	"loft.sh/agent/pkg/manager/registry/view"
)

// REST serves clusters.
type REST = view.Store[*managementv1.Cluster, *storagev1.Cluster, *storagev1.ClusterList]

// NewREST returns the storage of clusters. storage reaches the custom resources; validate checks the
// annotations of a Cluster.
func NewREST(storage rest.Interface, policy *access.Policy, validate func(annotations map[string]string) field.ErrorList) *REST {
	return view.NewStore(view.Kind[*managementv1.Cluster, *storagev1.Cluster, *storagev1.ClusterList]{
		Resource: "clusters", Singular: "cluster",
		GroupVersion: managementv1.SchemeGroupVersion,
		Client: gentype.NewClientWithList[*storagev1.Cluster, *storagev1.ClusterList]("clusters", storage, storagescheme.ParameterCodec, "",
			func() *storagev1.Cluster { return &storagev1.Cluster{} }, func() *storagev1.ClusterList { return &storagev1.ClusterList{} }),
		New:       func() *managementv1.Cluster { return &managementv1.Cluster{} },
		NewList:   func() runtime.Object { return &managementv1.ClusterList{} },
		NewStored: func() *storagev1.Cluster { return &storagev1.Cluster{} },
		Show: func(stored *storagev1.Cluster, shown *managementv1.Cluster) {
			shown.Spec, shown.Status = stored.Spec, stored.Status
		},
		Store:    func(shown *managementv1.Cluster, stored *storagev1.Cluster) { stored.Spec = shown.Spec },
		Validate: validation(validate),
		Sight:    sight{policy},
		Columns:  columns(),
	})
}

// validation checks annotations that change: a Cluster that got a bad one past this API can still be
// changed in other ways.
func validation(validate func(map[string]string) field.ErrorList) func(shown, before *managementv1.Cluster) field.ErrorList {
	return func(shown, before *managementv1.Cluster) field.ErrorList {
		errs := validate(shown.Annotations)
		if len(errs) > 0 && before.UID != "" && same(shown.Annotations, before.Annotations) {
			return nil
		}
		return errs
	}
}

// same says whether both maps say the same of the endpoint.
func same(a, b map[string]string) bool {
	for _, name := range []string{
		storagev1.AnnotationDirectEndpoint, storagev1.AnnotationDirectEndpointInsecure, storagev1.AnnotationDirectEndpointCAData,
		storagev1.AnnotationStreamIdleTimeout,
	} {
		if a[name] != b[name] {
			return false
		}
	}
	return true
}

// sight shows people the clusters that they may use.
type sight struct{ *access.Policy }

func (s sight) Filter(ctx context.Context, info user.Info) (view.Filter[*storagev1.Cluster], error) {
	names, err := s.Clusters(ctx, info)
	return view.Filter[*storagev1.Cluster]{Names: names}, err
}

func (s sight) Sees(ctx context.Context, info user.Info, name string, _ *storagev1.Cluster) (bool, error) {
	return s.MayUseCluster(ctx, info, name)
}

// columns are those of the custom resource.
func columns() []view.Column[*managementv1.Cluster] {
	type cluster = *managementv1.Cluster
	condition := func(kind string) func(c cluster) any {
		return func(c cluster) any {
			if found := meta.FindStatusCondition(c.Status.Conditions, kind); found != nil {
				return string(found.Status)
			}
			return ""
		}
	}
	return []view.Column[*managementv1.Cluster]{
		{
			Name: "Endpoint", Type: "string", Description: "Where the cluster is reached directly.",
			Cell: func(c cluster) any { return c.Annotations[storagev1.AnnotationDirectEndpoint] },
		},
		{
			Name: "Reachable", Type: "string", Description: "Whether this cluster, and no other, answers at its endpoint.",
			Cell: condition(storagev1.ConditionDirectEndpointReachable),
		},
		{
			Name: "Connected", Type: "string", Description: "Whether the manager reaches the cluster.",
			Cell: condition(storagev1.ConditionConnected),
		},
		{
			Name: "Agent", Type: "string", Description: "Version of the agent.",
			Cell: func(c cluster) any { return c.Status.AgentVersion },
		},
	}
}
