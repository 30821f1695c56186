package authn

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/klog/v2"
)

// reloadPeriod is how often the file is looked at.
const reloadPeriod = 5 * time.Second

// OIDC are the providers of a file, which is read again when it changes. A file that is broken leaves
// those of the one before.
type OIDC struct {
	file    string
	current atomic.Pointer[generation]
	problem atomic.Pointer[error]
}

// generation is what became of one content of the file.
type generation struct {
	content   []byte
	providers providers
	cancel    context.CancelFunc
}

// NewOIDC returns the providers that o describes; nil: there are none.
func (o *Options) NewOIDC(ctx context.Context) (*OIDC, error) {
	if o.ConfigFile == "" {
		return nil, nil
	}
	c := &OIDC{file: o.ConfigFile}
	return c, c.load(ctx)
}

// load reads the file where it has changed.
func (c *OIDC) load(ctx context.Context) error {
	content, err := os.ReadFile(c.file)
	if err != nil {
		return fmt.Errorf("--authentication-config: %w", err)
	}
	before := c.current.Load()
	if before != nil && bytes.Equal(before.content, content) {
		return nil
	}
	config, err := parseConfig(c.file, content)
	if err != nil {
		return err
	}
	lifetime, cancel := context.WithCancel(ctx)
	next, err := newProviders(lifetime, config)
	if err != nil {
		cancel()
		return err
	}
	c.current.Store(&generation{content: content, providers: next, cancel: cancel})
	if before != nil {
		klog.InfoS("Identity providers read again", "file", c.file, "providers", len(next))
		before.cancel()
	}
	return nil
}

// Run reads the file again until ctx is done.
func (c *OIDC) Run(ctx context.Context) {
	wait.UntilWithContext(ctx, func(ctx context.Context) {
		err := c.load(ctx)
		if err == nil {
			c.problem.Store(nil)
			return
		}
		if before := c.problem.Swap(&err); before == nil || (*before).Error() != err.Error() {
			klog.ErrorS(err, "Identity providers kept as they were")
		}
	}, reloadPeriod)
}

// AuthenticateToken implements Provider.
func (c *OIDC) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	return c.current.Load().providers.AuthenticateToken(ctx, token)
}
