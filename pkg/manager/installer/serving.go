package installer

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"loft.sh/agent/pkg/manager/installer/serving"
)

// ServingSecret holds the certificate that the agent serves with, its authority, and their keys, which
// are nowhere else. The agent's pods mount its own pair alone.
const ServingSecret = "loft-agent-serving"

// Keys of the authority in the Secret, beside those of type kubernetes.io/tls.
const (
	caCertKey = "ca.crt"
	caKeyKey  = "ca.key"
)

// certManagerName marks a Secret that cert-manager keeps.
const certManagerName = "cert-manager.io/certificate-name"

// hosts are how the agent is called inside its cluster; the aggregator uses the first.
var hosts = []string{"loft-agent-apiservice." + Namespace + ".svc", "loft-agent." + Namespace + ".svc"}

var secrets = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}

// ensureServing makes or renews the agent's certificate where it is time, and says whether it did.
func (i *Installer) ensureServing(ctx context.Context, host dynamic.Interface) (changed bool, err error) {
	live, err := readServing(ctx, host)
	if err != nil || (live != nil && foreign(live)) {
		return false, err
	}
	before := serving.Pair{}
	kind := corev1.SecretTypeTLS
	if live != nil {
		before, kind = pairOf(live), live.Type
	}
	now := i.clock.Now()
	if before.Problem(hosts, now) == "" {
		return false, nil
	}
	pair, err := before.Renew(hosts, now)
	if err != nil {
		return false, failed("make the certificate for", servingObject(), err)
	}
	secret := servingObject()
	secret.Object["type"] = string(kind)
	secret.Object["data"] = map[string]any{
		corev1.TLSCertKey: encode(pair.Cert), corev1.TLSPrivateKeyKey: encode(pair.Key),
		caCertKey: encode(pair.CA), caKeyKey: encode(pair.CAKey),
	}
	// The aggregator must trust a new authority before the agent serves with it.
	if !bytes.Equal(pair.CA, before.CA) && len(before.CA) > 0 {
		if err := i.announce(ctx, host, pair.CA); err != nil {
			return false, err
		}
	}
	_, err = host.Resource(secrets).Namespace(Namespace).Apply(ctx, ServingSecret, secret, metav1.ApplyOptions{FieldManager: FieldManager, Force: true})
	if err != nil {
		return false, failed("apply", servingObject(), err)
	}
	return true, nil
}

// announce puts the authorities into the APIService that is there, if it is ours.
func (i *Installer) announce(ctx context.Context, host dynamic.Interface, ca []byte) error {
	for _, object := range i.objects {
		if object.GetKind() != "APIService" {
			continue
		}
		object = object.DeepCopy()
		client := clientFor(host, object)
		live, err := client.Get(ctx, object.GetName(), metav1.GetOptions{})
		if apierrors.IsNotFound(err) || (err == nil && Unmanaged(live.GetAnnotations())) {
			return nil
		}
		if err != nil {
			return failed("read", object, err)
		}
		unstructured.RemoveNestedField(object.Object, "metadata", "annotations", caInjection)
		if err := unstructured.SetNestedField(object.Object, encode(ca), "spec", "caBundle"); err != nil {
			return failed("fill in", object, err)
		}
		if _, err := client.Apply(ctx, object.GetName(), object, metav1.ApplyOptions{FieldManager: FieldManager, Force: true}); err != nil {
			return failed("apply", object, err)
		}
	}
	return nil
}

// trustServing has the APIService trust the authority of the certificate that the agent serves with.
// Where others keep the Secret without saying which authority that is, they keep the caBundle too.
func (i *Installer) trustServing(ctx context.Context, host dynamic.Interface, apiService *unstructured.Unstructured) error {
	live, err := readServing(ctx, host)
	if err != nil || live == nil || len(live.Data[caCertKey]) == 0 {
		return err
	}
	if err := unstructured.SetNestedField(apiService.Object, encode(live.Data[caCertKey]), "spec", "caBundle"); err != nil {
		return failed("fill in", apiService, err)
	}
	return nil
}

// readServing returns nil where there is no Secret.
func readServing(ctx context.Context, host dynamic.Interface) (*corev1.Secret, error) {
	live, err := host.Resource(secrets).Namespace(Namespace).Get(ctx, ServingSecret, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, failed("read", servingObject(), err)
	}
	secret := &corev1.Secret{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(live.Object, secret); err != nil {
		// What does not fit may be a key.
		return nil, failed("read", servingObject(), fmt.Errorf("it is no Secret"))
	}
	return secret, nil
}

// foreign says whether somebody else keeps the certificate.
func foreign(secret *corev1.Secret) bool {
	return Unmanaged(secret.Annotations) || secret.Annotations[certManagerName] != ""
}

func pairOf(secret *corev1.Secret) serving.Pair {
	return serving.Pair{
		CA: secret.Data[caCertKey], CAKey: secret.Data[caKeyKey],
		Cert: secret.Data[corev1.TLSCertKey], Key: secret.Data[corev1.TLSPrivateKeyKey],
	}
}

func servingObject() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret",
		"metadata": map[string]any{
			"name": ServingSecret, "namespace": Namespace,
			"labels": map[string]any{"app.kubernetes.io/name": "loft-agent"},
		},
	}}
}

func encode(data []byte) string { return base64.StdEncoding.EncodeToString(data) }
