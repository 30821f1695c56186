//go:build !linux

package hostile

import "errors"

func dropAll(uintptr) error { return errors.New("packet filters on sockets: Linux only") }

func setReceiveBuffer(uintptr, int) error { return nil }
