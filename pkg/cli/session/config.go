package session

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The file says what it is, as API objects do.
const (
	configKind       = "Config"
	configAPIVersion = "storage.loft.sh/v1"
)

// config is the content of the config file. The first block is the format of 2.x clients, the second
// is ours. Members that neither knows survive.
type config struct {
	Kind        string       `json:"kind,omitempty"`
	APIVersion  string       `json:"apiVersion,omitempty"`
	Host        string       `json:"host,omitempty"`
	Insecure    bool         `json:"insecure,omitempty"`
	AccessKey   string       `json:"accesskey,omitempty"`
	DirectToken string       `json:"directClusterEndpointToken,omitempty"`
	DirectAsked *metav1.Time `json:"directClusterEndpointTokenRequested,omitempty"`

	// CAData is the PEM certificates that the manager's is verified with.
	CAData []byte `json:"certificateAuthorityData,omitempty"`
	// Storage says where the secrets are: in this file or in the keyring.
	Storage Storage `json:"tokenStorage,omitempty"`
	// Tokens are by cluster.
	Tokens map[string]token `json:"directClusterEndpointTokens,omitempty"`
	// PreviousContext is the kube context before the last "use".
	PreviousContext string `json:"previousContext,omitempty"`
}

// token is a direct endpoint token, in the file or in the keyring.
type token struct {
	// Token is empty in the file where it is in the keyring.
	Token     string    `json:"token,omitempty"`
	Requested time.Time `json:"requested"`
	Expires   time.Time `json:"expires"`
}

// members are the names of those members of the file that config knows.
var members = func() []string {
	var names []string
	for field := range reflect.TypeFor[config]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}()

// document is the config file as it stands there: what we know, and what we don't.
type document struct {
	config
	unknown map[string]json.RawMessage
}

// parse reads the content of the file at path; none is an empty document.
func parse(path string, data []byte) (*document, error) {
	d := &document{unknown: map[string]json.RawMessage{}}
	if len(strings.TrimSpace(string(data))) == 0 {
		return d, nil
	}
	if err := json.Unmarshal(data, &d.unknown); err != nil {
		return nil, unreadable(path, err)
	}
	if err := json.Unmarshal(data, &d.config); err != nil {
		return nil, unreadable(path, err)
	}
	if d.Kind != "" && d.Kind != configKind || d.APIVersion != "" && d.APIVersion != configAPIVersion {
		return nil, unreadable(path, fmt.Errorf("it holds %s %s, not %s %s", d.APIVersion, d.Kind, configAPIVersion, configKind))
	}
	for _, name := range members {
		delete(d.unknown, name)
	}
	if d.unknown == nil { // the file said null
		d.unknown = map[string]json.RawMessage{}
	}
	return d, nil
}

// unreadable never repeats the content: it may be a key.
func unreadable(path string, err error) error {
	return fmt.Errorf("the config file %s cannot be read, and is left as it is: %w; mend it, or move it away and log in again", path, err)
}

// content is what the file shall hold.
func (d *document) content() ([]byte, error) {
	d.Kind, d.APIVersion = configKind, configAPIVersion
	known, err := json.Marshal(d.config)
	if err != nil {
		return nil, fmt.Errorf("encode the config: %w", err)
	}
	all := map[string]json.RawMessage{}
	for name, value := range d.unknown {
		all[name] = value
	}
	if err := json.Unmarshal(known, &all); err != nil {
		return nil, fmt.Errorf("encode the config: %w", err)
	}
	data, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the config: %w", err)
	}
	return append(data, '\n'), nil
}
