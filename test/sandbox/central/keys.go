package central

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"loft.sh/agent/pkg/manager/tokens/signingkeys"
	"loft.sh/agent/test/sandbox"
)

// Keys sign as the manager does now, for the first connected cluster. They are also stored where
// sandbox.LoadKeys finds them; a rotation does not change those.
func (c *Central) Keys(ctx context.Context) (sandbox.Keys, error) {
	client, err := kubernetes.NewForConfig(c.cluster.RESTConfig())
	if err != nil {
		return sandbox.Keys{}, fmt.Errorf("client of the central cluster: %w", err)
	}
	secret, err := client.CoreV1().Secrets(namespace).Get(ctx, signingkeys.SecretName, metav1.GetOptions{})
	if err != nil {
		return sandbox.Keys{}, fmt.Errorf("manager's signing keys: %w", err)
	}
	key, err := newest(secret.Data[signingkeys.DataKey])
	if err != nil {
		return sandbox.Keys{}, fmt.Errorf("manager's signing keys: %w", err)
	}
	cluster, err := c.storage.Clusters().Get(ctx, c.opts.Clusters[0].Name, metav1.GetOptions{})
	if err != nil {
		return sandbox.Keys{}, fmt.Errorf("first connected cluster: %w", err)
	}
	return sandbox.StoreKeys(c.opts.Dir, cluster.Status.ClusterUID, key)
}

// newest reads the key that signs now: the last whose time has come.
func newest(data []byte) (*ecdsa.PrivateKey, error) {
	var document struct {
		Keys []struct {
			SignsFrom  metav1.Time `json:"signsFrom"`
			PrivateKey string      `json:"privateKey"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(data, &document); err != nil {
		return nil, err
	}
	now := metav1.Now()
	for i := len(document.Keys) - 1; i >= 0; i-- {
		if now.Before(&document.Keys[i].SignsFrom) {
			continue
		}
		block, _ := pem.Decode([]byte(document.Keys[i].PrivateKey))
		if block == nil {
			return nil, errors.New("not PEM")
		}
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, err
		}
		if signs, ok := key.(*ecdsa.PrivateKey); ok {
			return signs, nil
		}
	}
	return nil, errors.New("none signs")
}
