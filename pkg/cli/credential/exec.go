package credential

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientauthentication "k8s.io/client-go/pkg/apis/clientauthentication/v1"
)

// execInfoEnv is how client-go tells its plugin which version of the exchange it speaks.
const execInfoEnv = "KUBERNETES_EXEC_INFO"

// oldVersion is what kubeconfigs of 2.x clients ask for.
const oldVersion = "client.authentication.k8s.io/v1beta1"

// Write writes an exec credential (client.authentication.k8s.io/v1) for secret. A zero until leaves
// its end out.
func Write(w io.Writer, secret string, until time.Time) error {
	credential := clientauthentication.ExecCredential{
		TypeMeta: metav1.TypeMeta{APIVersion: version(os.Getenv(execInfoEnv)), Kind: "ExecCredential"},
		Status:   &clientauthentication.ExecCredentialStatus{Token: secret},
	}
	if !until.IsZero() {
		end := metav1.NewTime(until)
		credential.Status.ExpirationTimestamp = &end
	}
	data, err := json.Marshal(credential)
	if err == nil {
		_, err = fmt.Fprintln(w, string(data))
	}
	if err != nil {
		return fmt.Errorf("exec credential: %w", err)
	}
	return nil
}

// version is the one to answer in, given what client-go said.
func version(execInfo string) string {
	var asked metav1.TypeMeta
	if json.Unmarshal([]byte(execInfo), &asked) == nil && asked.APIVersion == oldVersion {
		return oldVersion
	}
	return clientauthentication.SchemeGroupVersion.String()
}
