package runner

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"mayfly/internal/store"
)

const (
	lockKey = "runs/lock.json"
	// A lease lasts 90 s by the store's clock and is renewed every 30 s. Its
	// holder stops believing in it 15 s early by its own monotonic clock,
	// counted from when the last good renewal was sent: so it has stopped
	// before anyone else may begin, whatever the clocks say.
	leaseTime   = 90 * time.Second
	leaseMargin = 15 * time.Second
	renewEvery  = 30 * time.Second
	lockPoll    = 10 * time.Second
	clockSlack  = 2 * time.Second // whole seconds here, fractions there
	lockMax     = 64 << 10        // bytes; a lock is a few hundred
)

// A Holder is who has the lock: the content of runs/lock.json.
type Holder struct {
	Run      string    `json:"run"`
	Host     string    `json:"host"`
	Since    time.Time `json:"since"` // by the holder's clock
	Nonce    string    `json:"nonce"` // tells our own write from a stranger's after a lost reply
	Beat     int       `json:"beat"`  // counts the writes: each has an ETag of its own
	Released bool      `json:"released,omitempty"`
}

// A HeldError says that another run has the lock.
type HeldError struct {
	Holder Holder
	Where  string // the lock's URL
	Left   time.Duration
	// Watched says that the store's clock does not tell how old the lock is:
	// only a while without a change does.
	Watched bool
}

func (e *HeldError) Error() string {
	return OneLine(fmt.Sprintf("run %s on %s has been at work in this store since %s (%s): wait until it ends; if it is dead, its lock goes stale within %s",
		e.Holder.Run, e.Holder.Host, e.Holder.Since.UTC().Format("2006-01-02 15:04:05 UTC"), e.Where, FormatDuration(max(e.Left, time.Second))), 1000)
}

// ErrLockLost is the cause of a run whose lease ran out or was taken over.
var ErrLockLost = errors.New("the lock was lost")

// A Lock is the lease that keeps two runs from working in one store.
type Lock struct {
	st   store.Store
	log  *slog.Logger
	mine Holder

	mu    sync.Mutex
	beat  int
	etag  store.ETag
	until time.Time // ours without asking the store, by the monotonic clock
	lost  error

	stop context.CancelFunc
	done chan struct{}
}

// acquire takes the lock. While another run holds it, acquire waits for it to
// go stale when wait is set, else it returns a HeldError. It also waits where
// nothing but waiting can tell a live lock from a dead one.
func acquire(ctx context.Context, st store.Store, mine Holder, wait bool, log *slog.Logger) (*Lock, error) {
	mine.Nonce = rand.Text()
	l := &Lock{st: st, log: log, mine: mine, done: make(chan struct{})}
	var seen watch
	var last *HeldError
	for {
		held, err := l.try(ctx, &seen)
		switch {
		case err != nil && last != nil && ctx.Err() != nil:
			return nil, fmt.Errorf("%w; %s", last, causeOf(ctx))
		case err != nil:
			return nil, err
		case held == nil:
			return l, nil
		case !wait && !held.Watched:
			return nil, held
		}
		last = held
		log.Info("waiting for the lock", KeyHolder, held.Holder.Run, KeyHost, held.Holder.Host, KeyLeft, held.Left)
		if sleep(ctx, min(max(held.Left, time.Second), lockPoll)) != nil {
			return nil, fmt.Errorf("%w; %s", held, causeOf(ctx))
		}
	}
}

// A watch remembers how long the lock has not changed, for stores that do not
// tell their time.
type watch struct {
	etag  store.ETag
	since time.Time
}

// try takes the lock once if it is free, released or stale.
func (l *Lock) try(ctx context.Context, seen *watch) (*HeldError, error) {
	for range 5 { // each turn lost a race to another run
		holder, o, err := readLock(ctx, l.st)
		switch {
		case errors.Is(err, store.ErrNotExist):
			o.ETag = ""
		case err != nil:
			return nil, err
		case !holder.Released:
			if left, watched := seen.left(o); left > 0 {
				return &HeldError{holder, l.st.URL(lockKey), left, watched}, nil
			}
			l.log.Warn("taking over a stale lock", KeyHolder, holder.Run, KeyHost, holder.Host)
		}
		err = l.put(ctx, l.mine, o.ETag)
		if err == nil {
			return nil, nil
		}
		if !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrChanged) {
			return nil, err
		}
	}
	return nil, errors.New("the lock changes faster than it can be taken: are many runs starting at once?")
}

// left says how long the lease that o shows still runs, by the store's clock.
// Where there is none, or it was set back since, only watching helps.
func (w *watch) left(o store.Object) (left time.Duration, watched bool) {
	if !o.Now.IsZero() && !o.Modified.After(o.Now.Add(clockSlack)) {
		return leaseTime - o.Now.Sub(o.Modified), false
	}
	if w.etag != o.ETag {
		*w = watch{o.ETag, time.Now()}
	}
	return leaseTime - time.Since(w.since), true
}

func readLock(ctx context.Context, st store.Store) (Holder, store.Object, error) {
	body, o, err := st.Open(ctx, lockKey, 0, -1)
	if err != nil {
		return Holder{}, o, fmt.Errorf("read the lock %s: %w", st.URL(lockKey), err)
	}
	defer body.Close()
	b, err := io.ReadAll(io.LimitReader(body, lockMax))
	if err != nil {
		return Holder{}, o, fmt.Errorf("read the lock %s: %w", st.URL(lockKey), err)
	}
	var h Holder
	if json.Unmarshal(b, &h) != nil || h.Run == "" {
		// Not ours to judge: it counts as held, and goes stale like any other.
		h = Holder{Run: "(unreadable)", Host: "(unknown)"}
	}
	return h, o, nil
}

// put writes the lock over version old and remembers the lease. A reply may
// have been lost, now or the last time: after ErrExists or ErrChanged it looks
// whether what is there is our own, and if so goes on from it.
func (l *Lock) put(ctx context.Context, h Holder, old store.ETag) error {
	l.mu.Lock()
	l.beat++
	h.Beat = l.beat
	l.mu.Unlock()
	b, err := json.Marshal(h)
	if err != nil {
		return err
	}
	sent := time.Now()
	for range 3 {
		var etag store.ETag
		etag, err = l.st.Put(ctx, lockKey, b, old)
		if err == nil {
			l.renewed(etag, sent)
			return nil
		}
		if !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrChanged) {
			return fmt.Errorf("write the lock %s: %w", l.st.URL(lockKey), err)
		}
		there, o, rerr := readLock(ctx, l.st)
		if rerr != nil || there.Nonce != h.Nonce {
			return err
		}
		if there.Beat == h.Beat {
			l.renewed(o.ETag, sent)
			return nil
		}
		old = o.ETag
	}
	return err
}

func (l *Lock) renewed(etag store.ETag, sent time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.etag, l.until = etag, sent.Add(leaseTime-leaseMargin)
}

// sleep waits for d, or for ctx's end, which is its error.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
