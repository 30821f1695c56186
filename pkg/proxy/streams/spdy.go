package streams

import (
	"encoding/binary"
)

// Frames of SPDY/3.1 (the draft's section 2.2). They begin with eight bytes: a control frame's with
// the version and its type, a data frame's with its stream, and either's then with flags and length.
const (
	spdyVersion = 3
	spdyControl = 0x80
	spdyFin     = 0x01
	spdyHeader  = 8

	synStream = 1
	synReply  = 2
	ping      = 6
	goAway    = 7
	headers   = 8
	lastType  = 10
)

// pingID is even, as those of servers are, and so far off that it meets none of the API server's,
// who gets to see the answer and knows nothing of it.
const pingID = 0x7ffffffe

// spdy follows the frames of one direction.
type spdy struct {
	// tap sees the frames that open streams; nil: nobody does.
	tap *tap
	// finished is told of each stream whose last frame begins; nil: nobody is.
	finished func(stream uint32)

	broken bool // not SPDY/3
	data   bool // payload was seen since the flag was cleared

	header [spdyHeader]byte
	have   uint8
	left   uint32
}

// scan follows p to the end of a frame, or of p, and returns how much of p that is.
func (s *spdy) scan(p []byte) int { return s.step(p, nil, 0) }

// scanMasked follows all of p, which is masked as WebSocket does it and lies at that offset of its frame.
func (s *spdy) scanMasked(p, mask []byte, offset uint64) {
	for len(p) > 0 {
		n := s.step(p, mask, offset)
		p, offset = p[n:], offset+uint64(n)
	}
}

func (s *spdy) step(p, mask []byte, offset uint64) int {
	if s.broken {
		return len(p)
	}
	n := 0
	for ; n < len(p) && s.have < spdyHeader; n++ {
		s.header[s.have] = p[n]
		if mask != nil {
			s.header[s.have] ^= mask[(offset+uint64(n))&3]
		}
		s.have++
		if s.have == spdyHeader {
			s.begin()
		}
	}
	if s.broken {
		return len(p)
	}
	if s.have < spdyHeader {
		return n
	}
	size := min(int(s.left), len(p)-n)
	s.tap.payload(p[n:n+size], mask, offset+uint64(n))
	s.left -= uint32(size)
	if s.left == 0 {
		s.have = 0
		s.tap.end()
	}
	return n + size
}

func (s *spdy) begin() {
	s.left = binary.BigEndian.Uint32(s.header[4:]) & 0xffffff
	if s.header[0]&spdyControl == 0 {
		// The end of a stream without a byte is payload as well.
		s.data = true
		if s.finished != nil && s.header[4]&spdyFin != 0 {
			s.finished(binary.BigEndian.Uint32(s.header[:]))
		}
		return
	}
	kind := s.header[2:4]
	if binary.BigEndian.Uint16(s.header[:])&0x7fff != spdyVersion || kind[0] != 0 || kind[1] == 0 || kind[1] > lastType {
		s.broken = true
		return
	}
	s.data = s.data || kind[1] != ping
	s.tap.begin(kind[1], s.header[:])
}

// between says whether a frame may follow.
func (s *spdy) between() bool { return !s.broken && s.have == 0 }

func controlFrame(kind byte, payload ...byte) []byte {
	frame := []byte{spdyControl, spdyVersion, 0, kind, 0, 0, 0, byte(len(payload))}
	return append(frame, payload...)
}

func pingFrame() []byte { return controlFrame(ping, binary.BigEndian.AppendUint32(nil, pingID)...) }

// goAwayFrame says that all that the client sent was taken (last stream 0x7fffffff, status OK).
func goAwayFrame() []byte {
	return controlFrame(goAway, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0)
}

// dataFrame is the last one of a stream.
func dataFrame(stream uint32, payload []byte) []byte {
	frame := binary.BigEndian.AppendUint32(nil, stream)
	frame = binary.BigEndian.AppendUint32(frame, spdyFin<<24|uint32(len(payload)))
	return append(frame, payload...)
}
