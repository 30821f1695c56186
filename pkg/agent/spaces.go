package agent

import (
	"fmt"
	"time"

	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/restmapper"

	"loft.sh/agent/pkg/agent/registry/sleepmodeconfigs"
	"loft.sh/agent/pkg/agent/registry/spaces"
	"loft.sh/agent/pkg/agent/rights"
)

// applySpaces prepares what serves spaces and how they sleep.
func (c *Config) applySpaces() error {
	visibility, err := rights.New(c.informers.Rbac().V1())
	if err != nil {
		return err
	}
	namespaces := c.informers.Core().V1().Namespaces()
	c.spaces = spaces.NewREST(spaces.Config{
		Namespaces: namespaces, HostClient: c.hostClient, Visibility: visibility, Authorizer: c.generic.Authorization.Authorizer, Now: time.Now,
		Applier: spaces.HostApplier{
			Config: c.hostConfig, Mapper: restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(c.hostClient.Discovery())),
		},
	})
	if err := c.spaces.Follow(); err != nil {
		return fmt.Errorf("follow namespaces: %w", err)
	}
	c.configs = sleepmodeconfigs.NewREST(namespaces.Lister(), c.hostClient.CoreV1().Namespaces(), time.Now)
	return nil
}
