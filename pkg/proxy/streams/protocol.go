package streams

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"

	"k8s.io/apimachinery/pkg/util/portforward"
	"k8s.io/apimachinery/pkg/util/remotecommand"
	"k8s.io/streaming/pkg/httpstream"
)

// protocol knows the frames of one upgraded connection in both directions. What it says of the way
// to the client is guarded by the connection's write lock.
type protocol interface {
	// toClient follows p to the end of a frame, or of p, and returns how much of p that is; data says
	// whether there was payload.
	toClient(p []byte) (n int, data bool)
	// fromClient follows all of p.
	fromClient(p []byte) (data bool)
	// between says whether a frame of ours may go to the client now.
	between() bool
	// ping asks the client for an answer.
	ping() []byte
	// end tells the client why this is the end. closes says that the client closes the connection
	// then, once it has read that; where it does not, or need not, goodbye is said.
	end(end *End) (told []byte, closes bool)
	// goodbye closes the connection as the protocol wants it; it is told by end where that does not
	// leave it to the client.
	goodbye(end *End) []byte
}

// errorChannel is the number of the channel for errors in remote command protocols over WebSocket.
const errorChannel = 3

// protocolOf reads the head of the answer that switched protocols.
func protocolOf(kind Kind, h http.Header) protocol {
	if !strings.EqualFold(h.Get("Upgrade"), "websocket") {
		return newSPDYProtocol(kind, h.Get(httpstream.HeaderProtocolVersion))
	}
	name := h.Get("Sec-WebSocket-Protocol")
	p := &webSocketProtocol{kind: kind, name: name, down: &webSocket{}, up: &webSocket{fromClient: true}}
	switch {
	case kind == Exec:
		p.down.overhead, p.up.overhead = 1, 1
	case strings.HasPrefix(name, portforward.WebsocketsSPDYTunnelingPrefix):
		p.down.inner, p.up.inner = &spdy{}, &spdy{}
		p.opened.follow(kind, p.up.inner, p.down.inner)
	}
	return p
}

type webSocketProtocol struct {
	kind     Kind
	name     string // the sub-protocol
	down, up *webSocket
	opened   opened // inside of it
}

func (p *webSocketProtocol) toClient(b []byte) (int, bool) {
	n := p.down.scan(b)
	data := p.down.data
	p.down.data = false
	return n, data
}

func (p *webSocketProtocol) fromClient(b []byte) bool {
	for len(b) > 0 {
		b = b[p.up.scan(b):]
	}
	data := p.up.data
	p.up.data = false
	return data
}

func (p *webSocketProtocol) between() bool { return p.down.between() }

func (p *webSocketProtocol) ping() []byte { return webSocketFrame(opPing) }

// end closes normally behind a message on the error channel: behind any other code kubectl reports the
// code, and drops the message.
func (p *webSocketProtocol) end(end *End) (told []byte, closes bool) {
	switch {
	case !p.down.betweenMessages():
	case p.kind == Exec:
		message := append([]byte{errorChannel}, errorText(p.name, end)...)
		switch {
		case strings.Contains(p.name, "base64."):
			text := append([]byte{'0' + errorChannel}, base64.StdEncoding.EncodeToString(message[1:])...)
			return append(webSocketFrame(opText, text...), closeFrame(closeNormal, end.Message)...), false
		case strings.HasSuffix(p.name, "channel.k8s.io"):
			return append(webSocketFrame(opBinary, message...), closeFrame(closeNormal, end.Message)...), false
		}
	case p.down.inner != nil && p.down.inner.between():
		if frames := p.opened.say([]byte(end.Message)); frames != nil {
			return webSocketFrame(opBinary, frames...), true
		}
	}
	return p.goodbye(end), false
}

func (p *webSocketProtocol) goodbye(end *End) []byte {
	if end.GoingAway {
		return closeFrame(closeGoingAway, end.Message)
	}
	return closeFrame(closePolicy, end.Message)
}

// errorText is what the error stream of a protocol holds: a status since version 4, any text before.
func errorText(name string, end *End) []byte {
	name = strings.Replace(name, "base64.", "", 1)
	if name == remotecommand.StreamProtocolV4Name || name == remotecommand.StreamProtocolV5Name {
		if status, err := json.Marshal(end.Status()); err == nil {
			return status
		}
	}
	return []byte(end.Message)
}

type spdyProtocol struct {
	kind     Kind
	name     string
	down, up *spdy
	opened   opened
}

func newSPDYProtocol(kind Kind, name string) *spdyProtocol {
	p := &spdyProtocol{kind: kind, name: name, down: &spdy{}, up: &spdy{}}
	p.opened.follow(kind, p.up, p.down)
	return p
}

func (p *spdyProtocol) toClient(b []byte) (int, bool) {
	n := p.down.scan(b)
	data := p.down.data
	p.down.data = false
	return n, data
}

func (p *spdyProtocol) fromClient(b []byte) bool {
	for len(b) > 0 {
		b = b[p.up.scan(b):]
	}
	data := p.up.data
	p.up.data = false
	return data
}

func (p *spdyProtocol) between() bool { return p.down.between() }

func (p *spdyProtocol) ping() []byte { return pingFrame() }

// end leaves it to kubectl's port-forward to close the connection: at once with the connection it is
// lost, and kubectl may end before it has shown what it read.
func (p *spdyProtocol) end(end *End) (told []byte, closes bool) {
	told = p.opened.say(errorText(p.name, end))
	if p.kind == PortForward && told != nil {
		return told, true
	}
	return append(told, p.goodbye(end)...), false
}

func (p *spdyProtocol) goodbye(*End) []byte { return goAwayFrame() }
