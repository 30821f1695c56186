package trust

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/pflag"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"loft.sh/agent/pkg/accesstoken"
)

// BundleKey is the key of the ConfigMap that holds the bundle.
const BundleKey = "bundle.json"

// Options says where the trust bundle comes from: a file or a ConfigMap.
type Options struct {
	File      string
	ConfigMap string
}

// NewOptions returns the defaults: the ConfigMap that the manager keeps.
func NewOptions() *Options { return &Options{ConfigMap: "loft/loft-agent-trust"} }

// AddFlags adds the flags.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.File, "trust-bundle-file", o.File,
		"File with the trust bundle: issuer, cluster UID, public keys and revocations. Reloaded when it changes. Takes the place of the ConfigMap.")
	fs.StringVar(&o.ConfigMap, "trust-bundle-configmap", o.ConfigMap,
		"ConfigMap (namespace/name) with the trust bundle under the key "+BundleKey+".")
}

// Validate returns every fault at once. A file must be there and good; a ConfigMap may come later.
func (o *Options) Validate() []error {
	if o.File != "" {
		if _, err := readFile(o.File); err != nil {
			return []error{fmt.Errorf("--trust-bundle-file: %w", err)}
		}
		return nil
	}
	namespace, name, err := cache.SplitMetaNamespaceKey(o.ConfigMap)
	if err != nil || namespace == "" || name == "" {
		return []error{fmt.Errorf("--trust-bundle-configmap: %q is not namespace/name", o.ConfigMap)}
	}
	return nil
}

// NewLoader returns the loader that feeds verifier.
func (o *Options) NewLoader(verifier *accesstoken.Verifier, hostClient kubernetes.Interface) (*Loader, error) {
	l := &Loader{verifier: verifier}
	if o.File != "" {
		l.watch = l.watchFile(o.File)
		return l, nil
	}
	if hostClient == nil {
		return nil, errors.New("trust bundle in a ConfigMap: no client for the host cluster")
	}
	namespace, name, err := cache.SplitMetaNamespaceKey(o.ConfigMap)
	if err != nil {
		return nil, fmt.Errorf("--trust-bundle-configmap: %w", err)
	}
	l.watch = l.watchConfigMap(hostClient, namespace, name)
	return l, nil
}

func readFile(path string) (*accesstoken.Bundle, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	bundle, err := accesstoken.ParseBundle(data)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", path, err)
	}
	return bundle, nil
}
