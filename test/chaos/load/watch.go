package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// reopenAfter is how long a watch waits before it tries again what was refused.
const reopenAfter = 50 * time.Millisecond

// Target is where a watch goes; client and token may differ from watch to watch.
type Target struct {
	Client *http.Client
	// URL holds the parameters of the watch.
	URL, Token string
}

// End of a watch.
type End struct {
	Watch int
	At    time.Time
	// Open is how long it had been open.
	Open time.Duration
	// Err is nil where the stream ended as an HTTP body does.
	Err error
	// Last is the last line that came, such as an event with a Status.
	Last string
}

// Watches are watches under way.
type Watches struct {
	reopen bool
	cancel context.CancelFunc
	loops  sync.WaitGroup

	lock     sync.Mutex
	open     int
	events   int
	gaps     []time.Duration
	closed   map[int]time.Time
	ends     []End
	refusals Samples
}

// Watch opens count watches. With reopen, one that ends is opened again at once.
func Watch(ctx context.Context, count int, reopen bool, target func(i int) Target) *Watches {
	ctx, cancel := context.WithCancel(ctx)
	w := &Watches{reopen: reopen, cancel: cancel, closed: map[int]time.Time{}}
	for i := range count {
		w.loops.Go(func() { w.loop(ctx, i, target(i)) })
	}
	return w
}

// Stop ends all watches.
func (w *Watches) Stop() {
	w.cancel()
	w.loops.Wait()
}

func (w *Watches) loop(ctx context.Context, i int, target Target) {
	for ctx.Err() == nil {
		w.once(ctx, i, target)
		w.lock.Lock()
		_, wasOpen := w.closed[i]
		w.lock.Unlock()
		if wasOpen && !w.reopen {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(reopenAfter):
		}
	}
}

func (w *Watches) once(ctx context.Context, i int, target Target) {
	began := time.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.URL, nil)
	if err != nil {
		w.refused(ctx, began, Answer{Err: err})
		return
	}
	req.Header.Set("Authorization", "Bearer "+target.Token)
	res, err := target.Client.Do(req)
	if err != nil {
		w.refused(ctx, began, Answer{Err: err})
		return
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(res.Body, 512))
		w.refused(ctx, began, Answer{Code: res.StatusCode, RetryAfter: res.Header.Get("Retry-After"), Body: string(body)})
		return
	}
	w.opened(i)
	end := End{Watch: i}
	opened := time.Now()
	lines := bufio.NewReader(res.Body)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			end.Last = line
			w.event()
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				end.Err = err
			}
			break
		}
	}
	end.At, end.Open = time.Now(), time.Since(opened)
	w.ended(ctx, end)
}

func (w *Watches) refused(ctx context.Context, began time.Time, a Answer) {
	w.lock.Lock()
	defer w.lock.Unlock()
	if ctx.Err() == nil {
		w.refusals = append(w.refusals, Sample{Answer: a, At: began, Took: time.Since(began)})
	}
}

func (w *Watches) opened(i int) {
	w.lock.Lock()
	defer w.lock.Unlock()
	w.open++
	if since, ok := w.closed[i]; ok {
		w.gaps = append(w.gaps, time.Since(since))
		delete(w.closed, i)
	}
}

func (w *Watches) event() {
	w.lock.Lock()
	defer w.lock.Unlock()
	w.events++
}

func (w *Watches) ended(ctx context.Context, end End) {
	w.lock.Lock()
	defer w.lock.Unlock()
	w.open--
	if ctx.Err() == nil {
		w.closed[end.Watch] = end.At
		w.ends = append(w.ends, end)
	}
}

// Open is how many are open now.
func (w *Watches) Open() int {
	w.lock.Lock()
	defer w.lock.Unlock()
	return w.open
}

// Events is how many lines came.
func (w *Watches) Events() int {
	w.lock.Lock()
	defer w.lock.Unlock()
	return w.events
}

// Await waits until count are open.
func (w *Watches) Await(ctx context.Context, count int, bound time.Duration) error {
	err := wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, bound, true,
		func(context.Context) (bool, error) { return w.Open() == count, nil })
	if err != nil {
		return fmt.Errorf("%d of %d watches are open: %w; refused: %s", w.Open(), count, err, w.Refusals().Examples())
	}
	return nil
}

// LongestGap is the longest time for which a watch that had been open was not, up to now.
func (w *Watches) LongestGap() time.Duration {
	w.lock.Lock()
	defer w.lock.Unlock()
	var longest time.Duration
	if len(w.gaps) > 0 {
		longest = slices.Max(w.gaps)
	}
	for _, since := range w.closed {
		longest = max(longest, time.Since(since))
	}
	return longest
}

// Ends are the watches that ended before Stop.
func (w *Watches) Ends() []End {
	w.lock.Lock()
	defer w.lock.Unlock()
	return slices.Clone(w.ends)
}

// Refusals are the attempts to open a watch that failed.
func (w *Watches) Refusals() Samples {
	w.lock.Lock()
	defer w.lock.Unlock()
	return slices.Clone(w.refusals)
}
