package listen

import (
	"fmt"

	"github.com/spf13/pflag"
)

// defaultMaxConnections is what 1 GiB of memory holds when each is an open watch over HTTP/1.1.
const defaultMaxConnections = 10000

// Options configures what all listeners have in common.
type Options struct {
	// MaxConnections is how many connections each listener has open at a time.
	MaxConnections int
}

// NewOptions returns the defaults.
func NewOptions() *Options { return &Options{MaxConnections: defaultMaxConnections} }

// AddFlags adds the flags.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	fs.IntVar(&o.MaxConnections, "max-connections", o.MaxConnections,
		"How many connections each of the listeners has open at a time. Beyond it connections that have not made a request are closed, the oldest first, and where there are none, new ones. Each takes a file descriptor, and up to one more to the API server.")
}

// Validate returns every fault at once.
func (o *Options) Validate() []error {
	if o.MaxConnections < 1 {
		return []error{fmt.Errorf("--max-connections: %d connections serve nobody; want 1 or more", o.MaxConnections)}
	}
	return nil
}
