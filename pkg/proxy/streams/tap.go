package streams

import (
	"bytes"
	"io"

	spdyframes "github.com/moby/spdystream/spdy"
	corev1 "k8s.io/api/core/v1"
)

// Bounds on what a tap holds, in bytes and in frames: kubectl's exec opens four streams, the first
// of them for errors.
const (
	maxTapped        = 16 << 10
	maxTappedFrames  = 16
	maxTappedHeaders = 32
)

// tap reads the frames by which a client opens streams, to learn what they are for. Headers are
// compressed, and each depends on those before: so it must see all of them, and holds some 50 KiB
// until it knows enough, and nothing after.
type tap struct {
	// opened is told of each stream and of its type, and says whether that is enough.
	opened func(stream uint32, kind string) (enough bool)
	// limit is how many frames are looked at; 0: all.
	limit int

	done    bool
	frames  int
	taking  bool
	frame   []byte
	buffer  *bytes.Buffer
	decoder *spdyframes.Framer
}

func (t *tap) begin(kind byte, header []byte) {
	if t == nil || t.done {
		return
	}
	t.taking = kind == synStream || kind == synReply || kind == headers
	if t.taking {
		t.frame = append(t.frame[:0], header...)
	}
}

func (t *tap) payload(p, mask []byte, offset uint64) {
	if t == nil || !t.taking {
		return
	}
	if len(t.frame)+len(p) > maxTapped {
		t.stop()
		return
	}
	for i := range p {
		b := p[i]
		if mask != nil {
			b ^= mask[(offset+uint64(i))&3]
		}
		t.frame = append(t.frame, b)
	}
}

func (t *tap) end() {
	if t == nil || !t.taking {
		return
	}
	t.taking = false
	t.frames++
	if t.read() || t.frames == t.limit {
		t.stop()
	}
}

// read decodes the frame that was taken, and says whether no other needs to be.
func (t *tap) read() bool {
	if t.decoder == nil {
		t.buffer = &bytes.Buffer{}
		framer, err := spdyframes.NewFramerWithOptions(io.Discard, t.buffer,
			spdyframes.WithMaxControlFramePayloadSize(maxTapped),
			spdyframes.WithMaxHeaderFieldSize(maxTapped), spdyframes.WithMaxHeaderCount(maxTappedHeaders))
		if err != nil {
			return true
		}
		t.decoder = framer
	}
	t.buffer.Reset()
	t.buffer.Write(t.frame)
	frame, err := t.decoder.ReadFrame()
	if err != nil {
		return true
	}
	opened, ok := frame.(*spdyframes.SynStreamFrame)
	return ok && t.opened(uint32(opened.StreamId), opened.Headers.Get(corev1.StreamType))
}

func (t *tap) stop() {
	*t = tap{done: true}
}
