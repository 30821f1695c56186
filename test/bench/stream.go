package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"loft.sh/agent/test/bench/load"
	"loft.sh/agent/test/bench/target"
)

// numberField is where an object of the watched kind says its number.
var numberField = []byte(`"n":"`)

// event is one event of a watch.
type event struct {
	// number that the writer gave the object; 0 where it gave none.
	number  int
	arrived time.Time
}

// stream is an open watch.
type stream struct {
	body   io.ReadCloser
	reader *bufio.Reader
}

// openWatch opens a watch of ConfigMaps in NamespaceWatch with more query parameters.
func openWatch(ctx context.Context, c *load.Client, query string) (*stream, error) {
	body, err := c.Open(ctx, http.MethodGet, objects(target.NamespaceWatch)+"?watch=true&"+query, nil)
	if err != nil {
		return nil, err
	}
	return &stream{body: body, reader: bufio.NewReaderSize(body, 64<<10)}, nil
}

func (s *stream) close() { _ = s.body.Close() }

// next waits for an event. Events are lines.
func (s *stream) next() (event, error) {
	var line []byte
	for {
		part, err := s.reader.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			line = append(line, part...)
			continue
		}
		if err != nil {
			return event{}, fmt.Errorf("watch: %w", err)
		}
		if line != nil {
			part = append(line, part...)
		}
		e := event{arrived: time.Now()}
		if bytes.HasPrefix(part, []byte(`{"type":"ERROR"`)) {
			return event{}, fmt.Errorf("watch: %.300s", part)
		}
		if at := bytes.Index(part, numberField); at >= 0 {
			digits := part[at+len(numberField):]
			if end := bytes.IndexByte(digits, '"'); end >= 0 {
				e.number, _ = strconv.Atoi(string(digits[:end]))
			}
		}
		return e, nil
	}
}

// await reads events until one has the number, and returns it.
func (s *stream) await(number int) (event, error) {
	for {
		e, err := s.next()
		if err != nil || e.number >= number {
			return e, err
		}
	}
}

// writer changes the watched object at the API server itself.
type writer struct {
	client *load.Client
	number int
}

func (w *writer) write(ctx context.Context) error {
	w.number++
	body := fmt.Sprintf(`{"data":{"n":"%d"}}`, w.number)
	_, err := w.client.Do(ctx, http.MethodPatch, objects(target.NamespaceWatch)+"/"+target.WatchName, []byte(body))
	return err
}
