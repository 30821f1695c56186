package streams

import (
	"encoding/binary"
	"unicode/utf8"
)

// Frames of RFC 6455, section 5.2.
const (
	opText   = 0x1
	opBinary = 0x2
	opClose  = 0x8
	opPing   = 0x9
	opPong   = 0xa
	fin      = 0x80
	masked   = 0x80

	// maxControl is the payload that a control frame may have; a Close's code takes two of it.
	maxControl = 125
)

// Status codes of RFC 6455, section 7.4.1.
const (
	closeNormal    = 1000
	closeGoingAway = 1001
	closePolicy    = 1008
)

// webSocket follows the frames of one direction.
type webSocket struct {
	// inner follows SPDY inside of the messages; nil: they hold something else.
	inner *spdy
	// fromClient frames are masked, the others are not.
	fromClient bool
	// overhead is how many bytes of a message say nothing: the number of its channel. Clients send
	// messages that hold no more to keep a connection open.
	overhead uint64

	broken bool // not WebSocket, or not as the RFC wants it
	data   bool // payload was seen since the flag was cleared
	mid    bool // between two fragments of a message

	header     [14]byte
	have, need uint8  // bytes of the header
	left       uint64 // bytes of the payload to come
	at         uint64 // bytes of the payload that were seen
}

// scan follows p to the end of a frame, or of p, and returns how much of p that is.
func (s *webSocket) scan(p []byte) int {
	if s.broken {
		return len(p)
	}
	n := 0
	for n < len(p) && (s.need == 0 || s.have < s.need) {
		s.header[s.have] = p[n]
		s.have++
		n++
		s.measure()
		if s.broken {
			return len(p)
		}
	}
	if s.need == 0 || s.have < s.need {
		return n
	}
	payload := p[n : n+int(min(s.left, uint64(len(p)-n)))]
	s.follow(payload)
	s.left -= uint64(len(payload))
	if s.left == 0 {
		s.have, s.need, s.at = 0, 0, 0
	}
	return n + len(payload)
}

// measure reads as much of the header as is there.
func (s *webSocket) measure() {
	switch {
	case s.have == 2:
		s.need = 2 + extended(s.header[1])
		if s.fromClient {
			s.need += 4
		}
		s.left = uint64(s.header[1] &^ masked)
		s.judge()
	case s.have == 4 && s.header[1]&^masked == 126:
		s.left = uint64(binary.BigEndian.Uint16(s.header[2:]))
	case s.have == 10 && s.header[1]&^masked == 127:
		s.left = binary.BigEndian.Uint64(s.header[2:])
		s.broken = s.left>>63 != 0
	}
}

// extended is how many more bytes the length takes.
func extended(length byte) uint8 {
	switch length &^ masked {
	case 126:
		return 2
	case 127:
		return 8
	}
	return 0
}

// judge refuses to follow what a peer would refuse, too.
func (s *webSocket) judge() {
	opcode, last, control := s.opcode(), s.header[0]&fin != 0, s.opcode() >= opClose
	switch {
	case s.header[1]&masked != 0 != s.fromClient:
		s.broken = true
	case control:
		s.broken = opcode > opPong || !last || s.left > maxControl
	default:
		// A continuation belongs into a message, and only a continuation does.
		s.broken = opcode > opBinary || s.mid != (opcode == 0)
		s.mid = !last
	}
}

func (s *webSocket) opcode() byte { return s.header[0] & 0x0f }

func (s *webSocket) follow(payload []byte) {
	if s.opcode() >= opClose {
		return
	}
	if s.inner == nil {
		s.at += uint64(len(payload))
		s.data = s.data || s.at > s.overhead
		return
	}
	var mask []byte
	if s.fromClient {
		mask = s.header[s.need-4 : s.need]
	}
	s.inner.scanMasked(payload, mask, s.at)
	s.at += uint64(len(payload))
	s.data = s.data || s.inner.data
	s.inner.data = false
}

// between says whether a control frame may follow.
func (s *webSocket) between() bool { return !s.broken && s.have == 0 }

// betweenMessages says whether a message may follow.
func (s *webSocket) betweenMessages() bool { return s.between() && !s.mid }

// webSocketFrame returns an unmasked frame, as servers send them, of at most 64 KiB.
func webSocketFrame(opcode byte, payload ...byte) []byte {
	frame := []byte{fin | opcode}
	if len(payload) < 126 {
		frame = append(frame, byte(len(payload)))
	} else {
		frame = append(frame, 126)
		frame = binary.BigEndian.AppendUint16(frame, uint16(len(payload)))
	}
	return append(frame, payload...)
}

// closeFrame tells why the connection is closed; a reason that is too long is cut.
func closeFrame(code uint16, reason string) []byte {
	for len(reason) > maxControl-2 || !utf8.ValidString(reason) {
		_, size := utf8.DecodeLastRuneInString(reason)
		reason = reason[:len(reason)-size]
	}
	return webSocketFrame(opClose, append(binary.BigEndian.AppendUint16(nil, code), reason...)...)
}
