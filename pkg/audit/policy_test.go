package audit

import (
	"testing"

	auditinternal "k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/apiserver/pkg/audit/policy"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/options"
)

func TestBuiltInPolicyRecordsWhatPeopleDo(t *testing.T) {
	parsed, err := policy.LoadPolicyFromBytes([]byte(defaultPolicy))
	if err != nil {
		t.Fatal(err)
	}
	evaluator := policy.NewPolicyRuleEvaluator(parsed)
	resource := func(verb, group, resource string) authorizer.AttributesRecord {
		return authorizer.AttributesRecord{Verb: verb, APIGroup: group, Resource: resource, ResourceRequest: true}
	}
	path := func(verb, path string) authorizer.AttributesRecord {
		return authorizer.AttributesRecord{Verb: verb, Path: path}
	}
	for _, tc := range []struct {
		name       string
		attributes authorizer.AttributesRecord
		want       auditinternal.Level
	}{
		{"read", resource("get", "", "secrets"), auditinternal.LevelMetadata},
		{"write", resource("create", "apps", "deployments"), auditinternal.LevelMetadata},
		{"exec", authorizer.AttributesRecord{Verb: "get", Resource: "pods", Subresource: "exec", ResourceRequest: true}, auditinternal.LevelMetadata},
		{"read of events", resource("list", "", "events"), auditinternal.LevelNone},
		{"watch of events", resource("watch", "events.k8s.io", "events"), auditinternal.LevelNone},
		{"deletion of events", resource("delete", "", "events"), auditinternal.LevelMetadata},
		{"health", path("get", "/readyz"), auditinternal.LevelNone},
		{"discovery", path("get", "/apis/apps/v1"), auditinternal.LevelNone},
		{"OpenAPI", path("get", "/openapi/v3/apis/apps/v1"), auditinternal.LevelNone},
		{"another path", path("get", "/debug/pprof/heap"), auditinternal.LevelMetadata},
		{"a write where discovery lies", path("post", "/apis"), auditinternal.LevelMetadata},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.attributes.User = &user.DefaultInfo{Name: "loft:user:alice"}
			if got := evaluator.EvaluatePolicyRule(&tc.attributes).Level; got != tc.want {
				t.Errorf("level %q, want %q", got, tc.want)
			}
		})
	}
}

func TestApplyToKeepsAPolicyThatIsGiven(t *testing.T) {
	o := options.NewAuditOptions()
	o.PolicyFile = t.TempDir() + "/absent.yaml"
	if err := ApplyTo(o, &genericserver.Config{}); err == nil {
		t.Error("a policy that cannot be read was replaced by the built-in one")
	}
}

func TestSinkThatCannotBeHadStopsTheStart(t *testing.T) {
	o := options.NewAuditOptions()
	o.LogOptions.Path = "/dev/null/audit.log"
	if err := ApplyTo(o, &genericserver.Config{}); err == nil {
		t.Error("started without the audit log that was asked for")
	}
}
