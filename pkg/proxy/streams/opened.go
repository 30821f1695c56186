package streams

import (
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
)

// maxOpened is how many streams of a connection are remembered; later ones end without a word.
const maxOpened = 256

// opened are the streams inside of an upgraded connection by which a client is told of its end. The
// client opens them, and the API server closes them.
type opened struct {
	lock   sync.Mutex
	errors []uint32 // for errors
	data   []uint32 // for what a forwarded port sends
}

func (o *opened) add(stream uint32, kind string) {
	o.lock.Lock()
	defer o.lock.Unlock()
	switch {
	case len(o.errors)+len(o.data) >= maxOpened:
	case kind == corev1.StreamTypeError:
		o.errors = append(o.errors, stream)
	case kind == corev1.StreamTypeData:
		o.data = append(o.data, stream)
	}
}

func (o *opened) remove(stream uint32) {
	o.lock.Lock()
	defer o.lock.Unlock()
	is := func(other uint32) bool { return other == stream }
	o.errors, o.data = slices.DeleteFunc(o.errors, is), slices.DeleteFunc(o.data, is)
}

// say returns the last frames of all streams: message on those for errors.
func (o *opened) say(message []byte) []byte {
	o.lock.Lock()
	defer o.lock.Unlock()
	var frames []byte
	for _, stream := range o.errors {
		frames = append(frames, dataFrame(stream, message)...)
	}
	for _, stream := range o.data {
		frames = append(frames, dataFrame(stream, nil)...)
	}
	return frames
}

// follow learns of the streams of a connection of that kind from its two directions.
func (o *opened) follow(kind Kind, up, down *spdy) {
	switch kind {
	case Exec:
		// One stream for errors is all there is to know.
		up.tap = &tap{limit: maxTappedFrames, opened: func(stream uint32, kind string) bool {
			if kind == corev1.StreamTypeError {
				o.add(stream, kind)
			}
			return kind == corev1.StreamTypeError
		}}
	case PortForward:
		up.tap = &tap{opened: func(stream uint32, kind string) bool {
			o.add(stream, kind)
			return false
		}}
		down.finished = o.remove
	}
}
