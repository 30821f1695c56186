package audit

import (
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	auditinternal "k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/apiserver/pkg/audit/policy"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// A policy that records everything is no way to read secrets.
func TestBodiesWithSecretsAreNotRecorded(t *testing.T) {
	tests := []struct {
		name     string
		level    auditinternal.Level
		resource schema.GroupResource
		sub      string
		want     auditinternal.Level
	}{
		{"secret", auditinternal.LevelRequestResponse, schema.GroupResource{Group: "g", Resource: "keys"}, "", auditinternal.LevelMetadata},
		{"secret in a request", auditinternal.LevelRequest, schema.GroupResource{Group: "g", Resource: "keys"}, "", auditinternal.LevelMetadata},
		{"not recorded", auditinternal.LevelNone, schema.GroupResource{Group: "g", Resource: "keys"}, "", auditinternal.LevelNone},
		{"metadata", auditinternal.LevelMetadata, schema.GroupResource{Group: "g", Resource: "keys"}, "", auditinternal.LevelMetadata},
		{"another group", auditinternal.LevelRequestResponse, schema.GroupResource{Group: "h", Resource: "keys"}, "", auditinternal.LevelRequestResponse},
		{"a subresource", auditinternal.LevelRequest, schema.GroupResource{Group: "g", Resource: "things"}, "secret", auditinternal.LevelMetadata},
		{"another subresource", auditinternal.LevelRequest, schema.GroupResource{Group: "g", Resource: "things"}, "status", auditinternal.LevelRequest},
		{"another resource", auditinternal.LevelRequestResponse, schema.GroupResource{Group: "g", Resource: "things"}, "", auditinternal.LevelRequestResponse},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			all := policy.NewPolicyRuleEvaluator(&auditinternal.Policy{Rules: []auditinternal.PolicyRule{{Level: tt.level}}})
			masked := WithoutBodies(all, schema.GroupResource{Group: "g", Resource: "keys"},
				schema.GroupResource{Group: "g", Resource: "things/secret"})
			got := masked.EvaluatePolicyRule(authorizer.AttributesRecord{
				APIGroup: tt.resource.Group, Resource: tt.resource.Resource, Subresource: tt.sub, Verb: "create", ResourceRequest: true,
			})
			if got.Level != tt.want {
				t.Errorf("level %s, want %s", got.Level, tt.want)
			}
		})
	}
}
