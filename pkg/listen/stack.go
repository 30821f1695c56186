package listen

// handlerStack, in bytes, is about what a handler's goroutine needs in the end.
const handlerStack = 20 << 10

// growStack has the runtime make room on the stack of a goroutine that has just begun. HTTP/2 has a
// goroutine a request; each began with a small stack that grew, and was copied, two or three times
// while the chain went down, the deeper the dearer: a tenth of all the time that a request took.
//
//go:noinline
func growStack(at int) byte {
	var room [handlerStack]byte
	room[at] = 1
	return room[at/2]
}
