package cli

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/util/cert"

	"loft.sh/agent/artifacts"
	"loft.sh/agent/pkg/cli/centre"
	"loft.sh/agent/pkg/cli/failure"
	"loft.sh/agent/pkg/cli/target"
)

const startExample = `  # Deploy a manager into the cluster of the current kube context
  loft start --host https://loft.example.com

  # Another image, another context
  loft start --host https://loft.example.com --image registry.example.com/loft-manager:v3.0.0 --context admin@central`

// What the manager's manifests say; artifacts/manager has it.
const (
	managerNamespace     = "loft"
	managerServingSecret = "loft-manager-serving"
	managerAdminSecret   = "loft-manager-admin"
	managerAPIService    = "loft-manager-apiservice.loft.svc"
)

// servingLifetime is that of the certificate that "start" makes, which nobody renews.
const servingLifetime = 5 * 365 * 24 * time.Hour

type startOptions struct {
	kubeconfig, context string
	host, image         string
	wait                time.Duration
}

func newStart(e *env) *cobra.Command {
	var o startOptions
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Deploy the manager into the cluster of a kube context",
		Long: `Applies the manager's manifests, makes a certificate if there is none, waits until the manager serves,
and says how its first administrator logs in. It may be run again, with another version of loft too.`,
		Example: startExample,
		Args:    exactly(0, ""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return start(cmd.Context(), e, o) },
	}
	o.addFlags(cmd.Flags())
	return cmd
}

func (o *startOptions) addFlags(fs *pflag.FlagSet) {
	addKubeconfigFlag(fs, &o.kubeconfig)
	fs.StringVar(&o.context, "context", "", "Kube context of the central cluster. Default: the current one.")
	fs.StringVar(&o.host, "host", "", "URL under which people will reach the manager. Required.")
	fs.StringVar(&o.image, "image", "", "Image of the manager. Default: that of the manifests.")
	fs.DurationVar(&o.wait, "wait", 5*time.Minute, "How long to wait until the manager serves; 0: not at all.")
}

func start(ctx context.Context, e *env, o startOptions) error {
	if o.host == "" {
		return failure.Usagef("--host is required: the URL under which people will reach the manager, such as https://loft.example.com")
	}
	host, err := managerURL(o.host, false)
	if err != nil {
		return err
	}
	at, err := target.Open(o.kubeconfig, o.context, centre.UserAgent())
	if err != nil {
		return err
	}
	objects, err := artifacts.ManagerObjects()
	if err != nil {
		return err
	}
	serving, err := servingSecret(ctx, at, host)
	if err != nil {
		return err
	}
	if objects, err = adaptManager(objects, serving, host, o.image); err != nil {
		return err
	}
	e.Infof("Deploying the manager into the cluster of the kube context %s", at.Context)
	if err := at.Apply(ctx, objects); err != nil {
		return err
	}
	if o.wait > 0 {
		if err := e.awaitAdmin(ctx, at, o.wait); err != nil {
			return err
		}
	}
	e.Donef("Successfully deployed the manager")
	e.Infof("Expose the Service loft/loft-manager at %s, and log in as its first administrator:", host)
	_, err = fmt.Fprintf(e.Out, `kubectl --context %[1]s -n loft get secret %[2]s -o 'jsonpath={.data.ca\.crt}' | base64 -d > loft-ca.crt
kubectl --context %[1]s -n loft get secret %[3]s -o 'jsonpath={.data.key}' | base64 -d |
  loft login %[4]s --certificate-authority loft-ca.crt --access-key-file -
`, at.Context, managerServingSecret, managerAdminSecret, host)
	return err
}

// servingSecret is the Secret with the manager's certificate: the one that is there, or a new one.
func servingSecret(ctx context.Context, at *target.Cluster, host string) (map[string][]byte, error) {
	secret, err := at.Secret(ctx, managerNamespace, managerServingSecret)
	if err == nil {
		if len(secret.Data["ca.crt"]) == 0 {
			return nil, fmt.Errorf("the Secret %s/%s has no ca.crt, which the aggregator needs: add the CA of its certificate", managerNamespace, managerServingSecret)
		}
		return map[string][]byte{"ca.crt": secret.Data["ca.crt"]}, nil
	}
	if !apierrors.IsNotFound(err) {
		return nil, err
	}
	u, err := url.Parse(host)
	if err != nil {
		return nil, err
	}
	var ips []net.IP
	if ip := net.ParseIP(u.Hostname()); ip != nil {
		ips = []net.IP{ip}
	}
	chain, key, err := cert.GenerateSelfSignedCertKeyWithOptions(cert.SelfSignedCertKeyOptions{
		Host: u.Hostname(), AlternateIPs: ips, AlternateDNS: []string{managerAPIService}, MaxAge: servingLifetime,
	})
	if err != nil {
		return nil, fmt.Errorf("the manager's certificate: %w", err)
	}
	return map[string][]byte{"ca.crt": chain, corev1.TLSCertKey: chain, corev1.TLSPrivateKeyKey: key}, nil
}

// adaptManager makes the manifests those of this installation. serving goes behind the namespace,
// unless it is the CA alone of what is there.
func adaptManager(objects []*unstructured.Unstructured, serving map[string][]byte, host, image string) ([]*unstructured.Unstructured, error) {
	var adapted []*unstructured.Unstructured
	for _, object := range objects {
		adapted = append(adapted, object)
		switch object.GetKind() {
		case "Namespace":
			if serving[corev1.TLSPrivateKeyKey] != nil {
				adapted = append(adapted, tlsSecret(serving))
			}
		case "APIService":
			ca := base64.StdEncoding.EncodeToString(serving["ca.crt"])
			if err := unstructured.SetNestedField(object.Object, ca, "spec", "caBundle"); err != nil {
				return nil, fmt.Errorf("the manager's APIService: %w", err)
			}
		case "Deployment":
			if err := adaptDeployment(object, host, image); err != nil {
				return nil, fmt.Errorf("the manager's Deployment: %w", err)
			}
		}
	}
	return adapted, nil
}

func tlsSecret(data map[string][]byte) *unstructured.Unstructured {
	encoded := map[string]any{}
	for key, value := range data {
		encoded[key] = base64.StdEncoding.EncodeToString(value)
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret", "type": string(corev1.SecretTypeTLS), "data": encoded,
		"metadata": map[string]any{"name": managerServingSecret, "namespace": managerNamespace},
	}}
}

func adaptDeployment(object *unstructured.Unstructured, host, image string) error {
	path := []string{"spec", "template", "spec", "containers"}
	containers, _, err := unstructured.NestedSlice(object.Object, path...)
	if err != nil {
		return err
	}
	if len(containers) != 1 {
		return fmt.Errorf("it has %d containers instead of one", len(containers))
	}
	container, ok := containers[0].(map[string]any)
	if !ok {
		return errors.New("its container is none")
	}
	if image != "" {
		container["image"] = image
	}
	args, _, err := unstructured.NestedStringSlice(container, "args")
	if err != nil {
		return err
	}
	args = slices.DeleteFunc(args, func(arg string) bool {
		return strings.HasPrefix(arg, "--issuer=") || strings.HasPrefix(arg, "--bootstrap-admin")
	})
	if err := unstructured.SetNestedStringSlice(container, append(args, "--issuer="+host, "--bootstrap-admin"), "args"); err != nil {
		return err
	}
	return unstructured.SetNestedSlice(object.Object, containers, path...)
}

// awaitAdmin waits until the manager has made its first administrator, which is when it serves.
func (e *env) awaitAdmin(ctx context.Context, at *target.Cluster, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := e.Wait(ctx, waitPoll, func(ctx context.Context) (bool, string, error) {
		_, err := at.Secret(ctx, managerNamespace, managerAdminSecret)
		if apierrors.IsNotFound(err) {
			return false, "waiting for the manager", nil
		}
		return err == nil, "", err
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return failure.TimedOutf("the manager does not serve: %w; 'kubectl --context %s -n loft get pods' says more", err, at.Context)
	}
	return err
}
