package authn

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	storageclient "loft.sh/agent/generated/clientset/versioned/typed/storage/v1"
)

const (
	// writePeriod is how often the last activity of one key is written at most.
	writePeriod = time.Minute
	// lookPeriod is how often it is looked for something to write.
	lookPeriod = 5 * time.Second
	// writeTimeout bounds one write.
	writeTimeout = 10 * time.Second
	// forgetAfter is when a key that is not used is forgotten here; its object knows by then.
	forgetAfter = 5 * writePeriod
)

// Activity remembers when keys were used, and writes it to their objects now and then.
type Activity struct {
	keys  storageclient.AccessKeyInterface
	clock clock.WithTicker

	lock sync.Mutex
	used map[string]*usage
}

// usage is of one key. What was used after written is yet to be written.
type usage struct{ last, written time.Time }

// NewActivity writes with keys.
func NewActivity(keys storageclient.AccessKeyInterface, clock clock.WithTicker) *Activity {
	return &Activity{keys: keys, clock: clock, used: map[string]*usage{}}
}

// touch notes that a key was used.
func (a *Activity) touch(name string, now time.Time) {
	a.lock.Lock()
	defer a.lock.Unlock()
	u := a.used[name]
	if u == nil {
		u = &usage{}
		a.used[name] = u
	}
	u.last = now
}

// last is when a key was used last as far as this manager knows; zero: it does not.
func (a *Activity) last(name string) time.Time {
	a.lock.Lock()
	defer a.lock.Unlock()
	if u := a.used[name]; u != nil {
		return u.last
	}
	return time.Time{}
}

// Run writes until ctx is done, and what is left then.
func (a *Activity) Run(ctx context.Context) {
	ticker := a.clock.NewTicker(lookPeriod)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C():
			a.write(ctx, a.due(writePeriod))
		case <-ctx.Done():
			a.write(context.WithoutCancel(ctx), a.due(0))
			return
		}
	}
}

// due are the keys that were used and not written for period, and when they were used. They count as
// written.
func (a *Activity) due(period time.Duration) map[string]time.Time {
	now := a.clock.Now()
	due := map[string]time.Time{}
	a.lock.Lock()
	defer a.lock.Unlock()
	for name, u := range a.used {
		switch {
		case u.last.After(u.written) && now.Sub(u.written) >= period:
			due[name], u.written = u.last, now
		case now.Sub(u.last) > forgetAfter:
			delete(a.used, name)
		}
	}
	return due
}

func (a *Activity) write(ctx context.Context, due map[string]time.Time) {
	for name, last := range due {
		if err := a.writeOne(ctx, name, last); err != nil && !apierrors.IsNotFound(err) {
			klog.ErrorS(err, "Last activity of an access key not written", "accessKey", name)
		}
	}
}

func (a *Activity) writeOne(ctx context.Context, name string, last time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	patch, err := json.Marshal(map[string]any{"status": map[string]any{"lastActivity": metav1.NewTime(last)}})
	if err != nil {
		return fmt.Errorf("encode the last activity: %w", err)
	}
	_, err = a.keys.Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "loft-manager"}, "status")
	return err
}
