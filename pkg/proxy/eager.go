package proxy

import "io"

// eager is the body of a stream. What reads it has a small buffer, since most streams are silent;
// where one read has filled that, more is on its way and is read in large steps: over HTTP/2 each
// step costs a frame to the API server.
type eager struct {
	io.ReadCloser
	// held is a borrowed buffer and left what nobody has taken of it; nil between bursts.
	held, left []byte
	// more is set where the last read filled its buffer.
	more bool
	// failed came with the last of what is left.
	failed error
}

// Read implements io.Reader.
func (e *eager) Read(p []byte) (int, error) {
	if e.held == nil && (!e.more || len(p) >= shortBuffer) {
		n, err := e.ReadCloser.Read(p)
		e.more = n == len(p)
		return n, err
	}
	if e.held == nil {
		e.held = buffers[Short].Get()
		var n int
		n, e.failed = e.ReadCloser.Read(e.held)
		e.left = e.held[:n]
		e.more = n > len(p)
	}
	n := copy(p, e.left)
	if e.left = e.left[n:]; len(e.left) > 0 {
		return n, nil
	}
	e.giveBack()
	return n, e.failed
}

// Close implements io.Closer.
func (e *eager) Close() error {
	e.giveBack()
	return e.ReadCloser.Close()
}

func (e *eager) giveBack() {
	if e.held != nil {
		buffers[Short].Put(e.held)
		e.held, e.left = nil, nil
	}
}
