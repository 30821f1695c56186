package audit

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
	auditinternal "k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// WithoutBodies has bodies of requests for resources, and of the answers, never recorded, whatever the
// policy says: they hold secrets. A subresource is named "resource/subresource".
func WithoutBodies(policy audit.PolicyRuleEvaluator, resources ...schema.GroupResource) audit.PolicyRuleEvaluator {
	if policy == nil {
		return nil
	}
	return withoutBodies{policy, resources}
}

type withoutBodies struct {
	policy    audit.PolicyRuleEvaluator
	resources []schema.GroupResource
}

// EvaluatePolicyRule implements audit.PolicyRuleEvaluator.
func (w withoutBodies) EvaluatePolicyRule(a authorizer.Attributes) audit.RequestAuditConfig {
	config := w.policy.EvaluatePolicyRule(a)
	asked := schema.GroupResource{Group: a.GetAPIGroup(), Resource: a.GetResource()}
	if a.GetSubresource() != "" {
		asked.Resource += "/" + a.GetSubresource()
	}
	if config.Level.Less(auditinternal.LevelRequest) || !slices.Contains(w.resources, asked) {
		return config
	}
	config.Level = auditinternal.LevelMetadata
	return config
}
