package hostile

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// hugeAnswer bounds the wait for what the server makes of a huge request.
const hugeAnswer = 40 * time.Second

// Huge is a request with too much of something in its header.
type Huge struct {
	Name, Protocol string
	// Token is added to the bearer token, Header is the value of another header.
	Token, Header string
	// Endless is how many bytes of a header follow that never ends, over HTTP/2.
	Endless int
}

// Ask sends a request and returns the status of the answer; 0 where the server ended the
// connection, or over HTTP/2 the stream, without one.
func (t Target) Ask(ctx context.Context, path string, huge Huge) (int, error) {
	conn, err := t.dial(ctx, huge.Protocol, 0)
	if err != nil {
		return 0, err
	}
	defer conn.Abort()
	if err := conn.SetDeadline(time.Now().Add(hugeAnswer)); err != nil {
		return 0, err
	}
	t.Token += huge.Token
	if huge.Protocol == HTTP2 {
		return t.ask2(conn, path, huge)
	}
	req, err := t.request(ctx, path)
	if err != nil {
		return 0, err
	}
	req.Header.Set("X-Huge", huge.Header)
	// The answer may come before all is written; then the rest is not.
	go func() { _ = req.Write(conn) }()
	res, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil {
		return 0, ended(err)
	}
	_ = res.Body.Close() // the connection goes, too
	return res.StatusCode, nil
}

func (t Target) ask2(conn *Conn, path string, huge Huge) (int, error) {
	h, err := newH2(conn)
	if err != nil {
		return 0, err
	}
	block := h.headers(t, path, hpack.HeaderField{Name: "x-huge", Value: huge.Header})
	go func() {
		if huge.Endless == 0 {
			_ = h.get(1, block)
			return
		}
		_ = h.endless(block, huge.Endless)
	}()
	decoder := hpack.NewDecoder(4096, nil)
	in := http2.NewFramer(io.Discard, conn)
	for {
		frame, err := in.ReadFrame()
		if err != nil {
			return 0, ended(err)
		}
		switch f := frame.(type) {
		case *http2.HeadersFrame:
			return status(decoder, f.HeaderBlockFragment())
		case *http2.RSTStreamFrame:
			return 0, nil
		case *http2.GoAwayFrame:
			if f.ErrCode != http2.ErrCodeNo { // else the answer follows
				return 0, nil
			}
		}
	}
}

// endless writes CONTINUATION frames with a header each, none of them the last.
func (h *h2) endless(block []byte, bytes int) error {
	err := h.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block, EndStream: true})
	for sent := 0; err == nil && sent < bytes; {
		h.block.Reset()
		_ = h.pack.WriteField(hpack.HeaderField{Name: "x-more", Value: strings.Repeat("m", 8<<10), Sensitive: true})
		sent += h.block.Len()
		err = h.framer.WriteContinuation(1, false, h.block.Bytes())
	}
	return err
}

func status(decoder *hpack.Decoder, block []byte) (int, error) {
	fields, err := decoder.DecodeFull(block)
	if err != nil || len(fields) == 0 || fields[0].Name != ":status" {
		return 0, fmt.Errorf("answer without a status: %w", err)
	}
	var code int
	_, err = fmt.Sscan(fields[0].Value, &code)
	return code, err
}

// ended turns the end of a connection into no error; a wait without an end stays one.
func ended(err error) error {
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return fmt.Errorf("neither answered nor ended: %w", err)
	}
	return nil
}
