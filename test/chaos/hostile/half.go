package hostile

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// HalfSaid is a way to begin and never go on.
type HalfSaid struct {
	Name  string
	begin func(ctx context.Context, t Target) (*Conn, error)
}

// clientHello is the start of a TLS record with a client's hello, cut off within its random.
const clientHello = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03half"

// HalfSayings are all ways that the package knows.
func HalfSayings() []HalfSaid {
	return []HalfSaid{
		{"TLS port, nothing", plain(Target.secureAddress, "")},
		{"TLS port, half a hello", plain(Target.secureAddress, clientHello)},
		{"TLS, then nothing", overTLS(HTTP1, writeNothing)},
		{"TLS, half an HTTP/1.1 header", overTLS(HTTP1, halfHeader)},
		{"TLS, HTTP/2 offered, nothing said", overTLS(HTTP2, writeNothing)},
		{"TLS, HTTP/2 preface alone", overTLS(HTTP2, prefaceAlone)},
		{"TLS, HTTP/2, half a HEADERS frame", overTLS(HTTP2, halfFrame)},
		{"TLS, HTTP/2, headers without an end", overTLS(HTTP2, endlessHeaders)},
		{"HTTP port, nothing", plain(Target.plainAddress, "")},
		{"HTTP port, half a header", plain(Target.plainAddress, "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Half: ")},
		{"HTTP port, HTTP/2 preface", plain(Target.plainAddress, http2.ClientPreface)},
	}
}

func (t Target) secureAddress() string { return t.Address }
func (t Target) plainAddress() string  { return t.Plain }

// plain connects without TLS and writes said.
func plain(address func(Target) string, said string) func(context.Context, Target) (*Conn, error) {
	return func(ctx context.Context, t Target) (*Conn, error) {
		conn, err := dialTCP(ctx, address(t), 0)
		if err == nil && said != "" {
			_, err = io.WriteString(conn, said)
		}
		return conn, err
	}
}

// overTLS ends the handshake with protocol and then says what say does.
func overTLS(protocol string, say func(Target, *Conn) error) func(context.Context, Target) (*Conn, error) {
	return func(ctx context.Context, t Target) (*Conn, error) {
		conn, err := t.dial(ctx, protocol, 0)
		if err == nil {
			err = say(t, conn)
		}
		return conn, err
	}
}

func writeNothing(Target, *Conn) error { return nil }

func halfHeader(_ Target, conn *Conn) error {
	_, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Half: ")
	return err
}

func prefaceAlone(_ Target, conn *Conn) error {
	_, err := newH2(conn)
	return err
}

// halfFrame writes the head of a HEADERS frame of 1,000 bytes, and three of them.
func halfFrame(_ Target, conn *Conn) error {
	h, err := newH2(conn)
	if err != nil {
		return err
	}
	_, err = h.conn.Write([]byte{0, 3, 232, byte(http2.FrameHeaders), byte(http2.FlagHeadersEndHeaders), 0, 0, 0, 1, 0x82, 0x87, 0x84})
	return err
}

// endlessHeaders writes a whole HEADERS frame that announces more.
func endlessHeaders(t Target, conn *Conn) error {
	h, err := newH2(conn)
	if err != nil {
		return err
	}
	return h.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: h.headers(t, "/api"), EndStream: true})
}

// Closings says how the server dealt with connections that were begun in one way.
type Closings struct {
	Name string
	// Count is how many were begun; Unopened of them the server closed before all was said.
	Count, Unopened int
	// Slowest is the longest time from the last byte said to the end of the connection, and Open is
	// how many had not ended when the wait was over.
	Slowest time.Duration
	Open    int
}

// BeginAndWait begins count connections, in each way as many, waits up to patience after the last
// byte of each, and says how they ended. The connections are closed when it returns.
func (t Target) BeginAndWait(ctx context.Context, count int, patience time.Duration) []Closings {
	ways := HalfSayings()
	results := make([]Closings, len(ways))
	var lock sync.Mutex
	var group sync.WaitGroup
	places := make(chan struct{}, dialers)
	for i := range count {
		way, result := ways[i%len(ways)], &results[i%len(ways)]
		result.Name = way.Name
		places <- struct{}{}
		group.Go(func() {
			conn, err := way.begin(ctx, t)
			said := time.Now()
			<-places
			lock.Lock()
			result.Count++
			if err != nil {
				result.Unopened++
			}
			lock.Unlock()
			if conn == nil {
				return
			}
			defer conn.Abort()
			ended := awaitEnd(conn, said.Add(patience))
			lock.Lock()
			defer lock.Unlock()
			if !ended {
				result.Open++
			}
			result.Slowest = max(result.Slowest, time.Since(said))
		})
	}
	group.Wait()
	return results
}

// awaitEnd reads below TLS until the connection ends, or the deadline.
func awaitEnd(conn *Conn, deadline time.Time) (ended bool) {
	var c net.Conn = conn.raw
	if _, over := conn.Conn.(*tls.Conn); !over {
		c = conn.Conn
	}
	_ = c.SetReadDeadline(deadline)
	_, err := io.Copy(io.Discard, c)
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

func (c Closings) String() string {
	return fmt.Sprintf("%s: %d, slowest %s, still open %d, closed while speaking %d",
		c.Name, c.Count, c.Slowest.Round(100*time.Millisecond), c.Open, c.Unopened)
}
