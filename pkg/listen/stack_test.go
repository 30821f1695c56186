package listen

import (
	"testing"
	"unsafe"
)

// TestStackHasRoom sees that the stack is not moved any more by what uses as much as was made room for.
func TestStackHasRoom(t *testing.T) {
	moved := make(chan bool)
	go func() {
		var here byte
		growStack(0)
		before := uintptr(unsafe.Pointer(&here))
		use(handlerStack - 2<<10)
		moved <- before != uintptr(unsafe.Pointer(&here))
	}()
	if <-moved {
		t.Error("the stack grew once more")
	}
}

// use takes about that many bytes of stack.
//
//go:noinline
func use(bytes int) byte {
	var some [512]byte
	some[bytes&511] = 1
	if bytes > 1024 {
		return use(bytes-1024) + some[0]
	}
	return some[1]
}
