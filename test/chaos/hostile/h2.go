package hostile

import (
	"bytes"
	"fmt"
	"net/http"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// h2 is an HTTP/2 connection of frames written by hand. Its methods are for one goroutine at a time.
type h2 struct {
	conn   *Conn
	framer *http2.Framer
	block  bytes.Buffer
	pack   *hpack.Encoder
}

// newH2 says hello. settings are what it asks of the server.
func newH2(conn *Conn, settings ...http2.Setting) (*h2, error) {
	h := &h2{conn: conn, framer: http2.NewFramer(conn, conn)}
	h.pack = hpack.NewEncoder(&h.block)
	if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
		return nil, fmt.Errorf("HTTP/2 preface: %w", err)
	}
	if err := h.framer.WriteSettings(settings...); err != nil {
		return nil, fmt.Errorf("HTTP/2 settings: %w", err)
	}
	return h, nil
}

// headers packs the header block of a GET of path, with further fields.
func (h *h2) headers(t Target, path string, further ...hpack.HeaderField) []byte {
	h.block.Reset()
	fields := []hpack.HeaderField{
		{Name: ":method", Value: http.MethodGet}, {Name: ":scheme", Value: "https"},
		{Name: ":authority", Value: t.Address}, {Name: ":path", Value: t.Prefix + path},
		{Name: "accept", Value: "application/json"},
	}
	if t.Token != "" {
		fields = append(fields, hpack.HeaderField{Name: "authorization", Value: "Bearer " + t.Token})
	}
	for _, field := range append(fields, further...) {
		_ = h.pack.WriteField(field) // into memory
	}
	return h.block.Bytes()
}

// get opens stream id with a GET of path. A header block of any length is cut into frames.
func (h *h2) get(id uint32, block []byte) error {
	const most = 16 << 10
	first := block[:min(most, len(block))]
	rest := block[len(first):]
	err := h.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: id, BlockFragment: first, EndStream: true, EndHeaders: len(rest) == 0,
	})
	for err == nil && len(rest) > 0 {
		next := rest[:min(most, len(rest))]
		rest = rest[len(next):]
		err = h.framer.WriteContinuation(id, len(rest) == 0, next)
	}
	return err
}

// answer does what a live client does on a frame of the connection: it acknowledges settings and
// pings.
func (h *h2) answer(frame http2.Frame) error {
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			return h.framer.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			return h.framer.WritePing(true, f.Data)
		}
	}
	return nil
}
