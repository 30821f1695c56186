//go:build !linux

package e2e

import "testing"

// execTerminal needs Linux, and so do the terminals of the simulated nodes.
func (s *streamUser) execTerminal(*testing.T) {}
