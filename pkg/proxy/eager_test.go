package proxy

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// pieces is a body that gives out one piece a read, or as much of it as is asked for.
type pieces struct {
	left  [][]byte
	reads int
	end   error
}

func (p *pieces) Read(b []byte) (int, error) {
	p.reads++
	if len(p.left) == 0 {
		return 0, p.end
	}
	n := copy(b, p.left[0])
	if p.left[0] = p.left[0][n:]; len(p.left[0]) == 0 {
		p.left = p.left[1:]
	}
	return n, nil
}

func (p *pieces) Close() error { return nil }

func TestBurstIsReadInLargeSteps(t *testing.T) {
	burst := bytes.Repeat([]byte("0123456789abcdef"), 10*shortBuffer/16)
	body := &pieces{left: [][]byte{[]byte("event"), burst, []byte("last")}, end: io.ErrUnexpectedEOF}
	want := append(append([]byte("event"), burst...), "last"...)
	reader := &eager{ReadCloser: body}
	var got []byte
	for {
		p := make([]byte, streamBuffer)
		n, err := reader.Read(p)
		got = append(got, p[:n]...)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(got) == len("event") && reader.held != nil {
			t.Fatal("a buffer was taken for a single event")
		}
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes read, want %d, or in another order", len(got), len(want))
	}
	if body.reads > 20 {
		t.Errorf("%d reads for ten buffers", body.reads)
	}
	if reader.held != nil {
		t.Error("the buffer is kept")
	}
}

func TestBufferOfABurstIsGivenBackWithTheBody(t *testing.T) {
	body := &pieces{left: [][]byte{make([]byte, streamBuffer), make([]byte, 2*streamBuffer)}}
	reader := &eager{ReadCloser: body}
	for range 2 {
		if _, err := reader.Read(make([]byte, streamBuffer)); err != nil {
			t.Fatal(err)
		}
	}
	if reader.held == nil {
		t.Fatal("no buffer was taken")
	}
	if err := reader.Close(); err != nil || reader.held != nil {
		t.Errorf("after Close: %v, %d bytes held", err, len(reader.held))
	}
}
