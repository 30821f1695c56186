package central

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/client-go/rest"

	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/pkg/manager/access"
	"loft.sh/agent/test/e2e/kubectl"
	installation "loft.sh/agent/test/sandbox/central"
)

// way is kubectl's to a cluster, for user.
func way(t *testing.T, cluster string, config *rest.Config, user authenticationv1.UserInfo) kubectl.Way {
	t.Helper()
	s := shared.Connected(cluster)
	return kubectl.Way{
		Binary: s.Cluster().Binaries().Kubectl, Config: config, User: user,
		Direct: s.Cluster().RESTConfig(), DirectKubeconfig: s.Cluster().AdminKubeconfig(), AuditLog: s.AgentAuditLog(),
	}
}

// aliceInfo is whom the connected clusters see: alice with the access key of her name.
func aliceInfo(t *testing.T) authenticationv1.UserInfo {
	t.Helper()
	alice, err := shared.Storage().Users().Get(t.Context(), installation.Alice, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return authenticationv1.UserInfo{
		Username: accesstoken.PersonName(alice.Name), UID: string(alice.UID), Groups: accesstoken.PersonGroups(alice.Name),
		Extra: map[string]authenticationv1.ExtraValue{access.ExtraAccessKey: {alice.Name}},
	}
}

// gateway is alice's way through the centre, with her access key.
func gateway() *rest.Config {
	return &rest.Config{
		Host: shared.URL() + "/kubernetes/cluster/" + eu, BearerToken: shared.Key(installation.Alice),
		TLSClientConfig: rest.TLSClientConfig{CAFile: shared.CAFile()}, QPS: -1,
	}
}

// TestGateway runs the whole list of kubectl's commands and streams through the centre.
func TestGateway(t *testing.T) {
	info := aliceInfo(t)
	t.Run("commands", func(t *testing.T) {
		t.Parallel()
		k := kubectl.New(t, way(t, eu, gateway(), info))
		kubectl.RunCommands(t, k)
		checkRecords(t, k.Namespace, info)
	})
	for _, protocol := range kubectl.Protocols {
		t.Run(protocol.Name, func(t *testing.T) {
			t.Parallel()
			s := &kubectl.Streams{
				User: kubectl.New(t, way(t, eu, gateway(), info)), WebSockets: protocol.WebSockets, Silence: kubectl.WantedSilence(t),
			}
			s.RunPod(t)
			t.Run("streams", s.All)
			want := map[string]string{"exec": protocol.Verb, "attach": protocol.Verb, "portforward": protocol.Verb, "log": "get"}
			same(t, "audited verbs by subresource", want, s.AuditedVerbs(t))
			checkRecords(t, s.Namespace, info)
		})
	}
}

// checkRecords reads the agent's audit log: all that happened in the namespace was alice's doing, and
// the manager is not named.
func checkRecords(t *testing.T, namespace string, info authenticationv1.UserInfo) {
	t.Helper()
	found := 0
	eachRecord(t, shared.Connected(eu).AgentAuditLog(), func(e *auditv1.Event) {
		if e.ObjectRef == nil || e.ObjectRef.Namespace != namespace {
			return
		}
		found++
		if e.User.Username != info.Username || e.User.UID != info.UID {
			t.Errorf("%s %s is recorded as the doing of %q", e.Verb, e.RequestURI, e.User.Username)
		}
		if e.ImpersonatedUser != nil {
			t.Errorf("%s %s is recorded as impersonated: %+v", e.Verb, e.RequestURI, e.ImpersonatedUser)
		}
	})
	if found == 0 {
		t.Error("the agent recorded nothing")
	}
}

func eachRecord(t *testing.T, path string, visit func(*auditv1.Event)) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	records := bufio.NewScanner(file)
	records.Buffer(nil, 1<<20)
	for records.Scan() {
		var event auditv1.Event
		if err := json.Unmarshal(records.Bytes(), &event); err != nil {
			continue // another test's record, half written
		}
		visit(&event)
	}
	if err := records.Err(); err != nil {
		t.Fatal(err)
	}
}

// TestNoSecretsAreWritten looks for keys and tokens where people read.
func TestNoSecretsAreWritten(t *testing.T) {
	p := newPerson(t, "quiet", eu)
	token := p.token(t, eu)
	await(t, patience, "access given", func() error { return endpoint(eu, token, namespaces).wants(200) })
	files := []string{shared.Connected(eu).AgentAuditLog()}
	for _, m := range shared.Managers() {
		files = append(files, m.LogFile(), m.AuditLog())
	}
	for _, file := range files {
		content := string(mustRead(t, file))
		for name, secret := range map[string]string{"access key": p.key, "token": token, "alice's key": shared.Key(installation.Alice)} {
			if strings.Contains(content, secret) {
				t.Errorf("%s holds the %s", file, name)
			}
		}
	}
}
