package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
)

// credentialPeriod is how often the files of the host credential are looked at.
const credentialPeriod = 2 * time.Second

// hostCredential knows whether the files that the agent proves itself with to its API server can be
// used. client-go reads them again and keeps what it had where they are broken, but tells the log
// alone. A file that can be read and holds a wrong credential is found out by the API server.
type hostCredential struct {
	config  *rest.Config
	problem atomic.Pointer[string]
}

// run looks at the files until ctx is done.
func (c *hostCredential) run(ctx context.Context) {
	wait.UntilWithContext(ctx, func(context.Context) { c.look() }, credentialPeriod)
}

func (c *hostCredential) look() {
	err := c.read()
	if err == nil {
		c.problem.Store(nil)
		return
	}
	problem := err.Error()
	if before := c.problem.Swap(&problem); before == nil || *before != problem {
		klog.ErrorS(err, "Host credential refused, the one in use is kept")
	}
}

// read reads the files as client-go does.
func (c *hostCredential) read() error {
	if path := c.config.BearerTokenFile; path != "" {
		content, err := os.ReadFile(path)
		if err == nil && strings.TrimSpace(string(content)) == "" {
			err = errors.New("is empty")
		}
		if err != nil {
			return fmt.Errorf("host credential, token file %q: %w", path, err)
		}
	}
	if c.config.CertFile != "" && len(c.config.CertData) == 0 {
		if _, err := tls.LoadX509KeyPair(c.config.CertFile, c.config.KeyFile); err != nil {
			return fmt.Errorf("host credential, client certificate %q: %w", c.config.CertFile, err)
		}
	}
	return nil
}

// Problem says why what is on disk is not in use; empty: it is.
func (c *hostCredential) Problem() string {
	if problem := c.problem.Load(); problem != nil {
		return *problem
	}
	return ""
}
