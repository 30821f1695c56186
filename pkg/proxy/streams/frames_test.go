package streams

import (
	"bytes"
	"encoding/binary"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	spdyframes "github.com/moby/spdystream/spdy"
)

// maskedFrame is a frame as clients send it.
func maskedFrame(opcode byte, payload []byte) []byte {
	frame := webSocketFrame(opcode, payload...)
	length := len(frame) - len(payload)
	frame[1] |= masked
	mask := []byte{1, 2, 3, 4}
	out := append(append([]byte{}, frame[:length]...), mask...)
	for i, b := range payload {
		out = append(out, b^mask[i%4])
	}
	return out
}

// longFrame has a length of eight bytes.
func longFrame(size int) []byte {
	frame := binary.BigEndian.AppendUint64([]byte{fin | opBinary, 127}, uint64(size))
	return append(frame, make([]byte, size)...)
}

// boundaries returns the offsets of all frames' ends that scan finds in stream, cut into pieces of size.
func boundaries(stream []byte, size int, scan func([]byte) int, between func() bool) []int {
	var ends []int
	at := 0
	for at < len(stream) {
		piece := stream[at:min(at+size, len(stream))]
		for len(piece) > 0 {
			n := scan(piece)
			piece, at = piece[n:], at+n
			if between() {
				ends = append(ends, at)
			}
		}
	}
	return ends
}

func TestFramesAreFoundHoweverTheyAreCut(t *testing.T) {
	fromServer := [][]byte{
		webSocketFrame(opBinary, 1, 'x'), webSocketFrame(opPing), longFrame(300), webSocketFrame(opText),
		webSocketFrame(opBinary, bytes.Repeat([]byte{7}, 200)...), {opText, 1, 'a'}, webSocketFrame(opPong), {fin, 1, 'b'},
		closeFrame(closeNormal, "bye"),
	}
	fromClient := [][]byte{maskedFrame(opBinary, []byte{0, 'x'}), maskedFrame(opPong, nil), maskedFrame(opBinary, bytes.Repeat([]byte{9}, 130))}
	spdyStream := [][]byte{dataFrame(1, []byte("hello")), pingFrame(), dataFrame(3, nil), goAwayFrame()}
	for _, tc := range []struct {
		name   string
		frames [][]byte
		new    func() (func([]byte) int, func() bool)
	}{
		{"WebSocket from the server", fromServer, func() (func([]byte) int, func() bool) { s := &webSocket{}; return s.scan, s.between }},
		{"WebSocket from the client", fromClient, func() (func([]byte) int, func() bool) { s := &webSocket{fromClient: true}; return s.scan, s.between }},
		{"SPDY", spdyStream, func() (func([]byte) int, func() bool) { s := &spdy{}; return s.scan, s.between }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var stream []byte
			var want []int
			for _, frame := range tc.frames {
				stream = append(stream, frame...)
				want = append(want, len(stream))
			}
			for size := 1; size <= len(stream); size++ {
				scan, between := tc.new()
				if diff := cmp.Diff(want, boundaries(stream, size, scan, between)); diff != "" {
					t.Fatalf("ends of frames in pieces of %d (-want +got):\n%s", size, diff)
				}
			}
		})
	}
}

func TestWhatIsNoFrameIsNeverBetweenTwo(t *testing.T) {
	for name, bad := range map[string][]byte{
		"masked by the server":          maskedFrame(opText, []byte("x")),
		"continuation of nothing":       {fin, 0},
		"control frame in parts":        {opPing, 0},
		"control frame that is large":   webSocketFrame(opPing, make([]byte, 126)...),
		"unknown opcode":                {fin | 0x3, 0},
		"unknown control opcode":        {fin | 0xb, 0},
		"length with the sign bit":      binary.BigEndian.AppendUint64([]byte{fin | opText, 127}, 1<<63),
		"message in another's fragment": {opText, 1, 'a', fin | opText, 1, 'b'},
	} {
		t.Run(name, func(t *testing.T) {
			s := &webSocket{}
			for rest := bad; len(rest) > 0; {
				rest = rest[s.scan(rest):]
			}
			if s.between() {
				t.Error("a frame of ours would be put there")
			}
		})
	}
	s := &spdy{}
	s.scan([]byte("HTTP/1.1 200 OK"))
	if s.scan([]byte{spdyControl, 9, 0, 1, 0, 0, 0, 0}); s.between() && s.have == 0 && !s.broken {
		t.Error("no SPDY, and taken for it")
	}
}

func TestPingsAreNotPayload(t *testing.T) {
	exec := http.Header{"Upgrade": {"websocket"}, "Sec-Websocket-Protocol": {"v5.channel.k8s.io"}}
	spdyHead := http.Header{"Upgrade": {"SPDY/3.1"}, "X-Stream-Protocol-Version": {"v4.channel.k8s.io"}}
	for _, tc := range []struct {
		name string
		head http.Header
		sent []byte
		want bool
	}{
		{"WebSocket ping", exec, webSocketFrame(opPing), false},
		{"a message with nothing but its channel", exec, webSocketFrame(opBinary, 1), false},
		{"a message", exec, webSocketFrame(opBinary, 1, 'x'), true},
		{"SPDY ping", spdyHead, pingFrame(), false},
		{"SPDY data", spdyHead, dataFrame(1, []byte("x")), true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, got := protocolOf(Exec, tc.head).toClient(tc.sent); got != tc.want {
				t.Errorf("payload: %t, want %t", got, tc.want)
			}
		})
	}
}

func TestEndIsToldAsTheProtocolWantsIt(t *testing.T) {
	end := &End{Code: 401, Reason: "Unauthorized", Message: "the token was revoked"}
	status := `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"the token was revoked","reason":"Unauthorized","code":401}`
	for _, tc := range []struct {
		name, protocol string
		kind           Kind
		want           []byte
	}{
		{"exec", "v5.channel.k8s.io", Exec, append(webSocketFrame(opBinary, append([]byte{errorChannel}, status...)...), closeFrame(closeNormal, end.Message)...)},
		{"exec before version 4", "channel.k8s.io", Exec, append(webSocketFrame(opBinary, append([]byte{errorChannel}, end.Message...)...), closeFrame(closeNormal, end.Message)...)},
		{"port-forward", "SPDY/3.1+portforward.k8s.io", PortForward, closeFrame(closePolicy, end.Message)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := http.Header{"Upgrade": {"websocket"}, "Sec-Websocket-Protocol": {tc.protocol}}
			got, closes := protocolOf(tc.kind, h).end(end)
			if diff := cmp.Diff(tc.want, got); diff != "" || closes {
				t.Errorf("the client is left to close: %t; -want +got:\n%s", closes, diff)
			}
		})
	}
	if got := closeFrame(closePolicy, strings.Repeat("ä", 100)); len(got) > 2+maxControl {
		t.Errorf("Close frame of %d bytes", len(got))
	}
}

// opens are the frames by which a client opens streams of these types, the first with number 1.
func opens(t *testing.T, kinds ...string) []byte {
	t.Helper()
	var frames bytes.Buffer
	framer, err := spdyframes.NewFramer(&frames, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	for i, kind := range kinds {
		frame := &spdyframes.SynStreamFrame{StreamId: spdyframes.StreamId(2*i + 1), Headers: http.Header{"Streamtype": {kind}}}
		if err := framer.WriteFrame(frame); err != nil {
			t.Fatal(err)
		}
	}
	return frames.Bytes()
}

func TestSPDYEndIsToldOnTheErrorStream(t *testing.T) {
	end := &End{Code: 401, Reason: "Unauthorized", Message: "expired"}
	message := []byte(end.Message)
	const exec, forward = "v4.channel.k8s.io", "portforward.k8s.io"
	for _, tc := range []struct {
		name       string
		kind       Kind
		protocol   string
		opened     []string
		finished   []uint32
		want       []byte
		wantCloses bool
	}{
		{"exec", Exec, exec, []string{"stdin", "error"}, nil, append(dataFrame(3, errorText(exec, end)), goAwayFrame()...), false},
		{"port-forward without a connection", PortForward, forward, nil, nil, goAwayFrame(), false},
		{"port-forward", PortForward, forward, []string{"error", "data"}, nil, append(dataFrame(1, message), dataFrame(3, nil)...), true},
		{
			"port-forward with one of two connections left", PortForward, forward,
			[]string{"error", "data", "error", "data"}, []uint32{3, 1}, append(dataFrame(5, message), dataFrame(7, nil)...), true,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			frames := opens(t, tc.opened...)
			var finished []byte
			for _, stream := range tc.finished {
				finished = append(finished, dataFrame(stream, []byte("last"))...)
			}
			spdy := newSPDYProtocol(tc.kind, tc.protocol)
			for _, b := range frames {
				spdy.fromClient([]byte{b})
			}
			for rest := finished; len(rest) > 0; {
				n, _ := spdy.toClient(rest)
				rest = rest[n:]
			}
			if got, closes := spdy.end(end); !bytes.Equal(got, tc.want) || closes != tc.wantCloses {
				t.Errorf("the client is left to close: %t, want %t; -want +got:\n%s", closes, tc.wantCloses, cmp.Diff(tc.want, got))
			}
			if tc.kind != PortForward {
				return
			}
			tunnel := protocolOf(tc.kind, http.Header{"Upgrade": {"websocket"}, "Sec-Websocket-Protocol": {"SPDY/3.1+" + tc.protocol}})
			for i := 0; i < len(frames); i += 7 {
				tunnel.fromClient(maskedFrame(opBinary, frames[i:min(i+7, len(frames))]))
			}
			if len(finished) > 0 {
				tunnel.toClient(webSocketFrame(opBinary, finished...))
			}
			want := closeFrame(closePolicy, end.Message)
			if tc.wantCloses {
				want = webSocketFrame(opBinary, tc.want...)
			}
			if got, closes := tunnel.end(end); !bytes.Equal(got, want) || closes != tc.wantCloses {
				t.Errorf("in WebSocket: the client is left to close: %t, want %t; -want +got:\n%s", closes, tc.wantCloses, cmp.Diff(want, got))
			}
		})
	}
}

func TestTunnelIsNotToldInTheMiddleOfAFrame(t *testing.T) {
	end := &End{Code: 401, Reason: "Unauthorized", Message: "expired"}
	tunnel := protocolOf(PortForward, http.Header{"Upgrade": {"websocket"}, "Sec-Websocket-Protocol": {"SPDY/3.1+portforward.k8s.io"}})
	tunnel.fromClient(maskedFrame(opBinary, opens(t, "error", "data")))
	tunnel.toClient(webSocketFrame(opBinary, dataFrame(3, []byte("half"))[:10]...))
	if got, closes := tunnel.end(end); !bytes.Equal(got, closeFrame(closePolicy, end.Message)) || closes {
		t.Errorf("told %q", got)
	}
}

// FuzzFollowing feeds the followers whatever there is: they must take all of it and come to an end.
func FuzzFollowing(f *testing.F) {
	f.Add(append(webSocketFrame(opBinary, 1, 'x'), maskedFrame(opText, []byte("y"))...), uint8(3))
	f.Add(append(dataFrame(1, []byte("hello")), pingFrame()...), uint8(1))
	f.Fuzz(func(t *testing.T, stream []byte, size uint8) {
		whole, cut := &webSocket{inner: &spdy{}}, &webSocket{inner: &spdy{}}
		ends := boundaries(stream, len(stream)+1, whole.scan, whole.between)
		if diff := cmp.Diff(ends, boundaries(stream, int(size)+1, cut.scan, cut.between)); diff != "" && !whole.broken {
			t.Errorf("ends of frames depend on how the stream is cut:\n%s", diff)
		}
		s := newSPDYProtocol(Exec, "v4.channel.k8s.io")
		s.fromClient(stream)
	})
}
