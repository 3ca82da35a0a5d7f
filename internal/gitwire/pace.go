package gitwire

import (
	"context"
	"fmt"
	"io"
	"time"
)

// A Pace is how slowly a pack may come. git sends an empty packet every 5 s
// while it prepares one (uploadpack.keepAlive, git-config(1)), so that bytes on
// the connection are no sign of progress; only those of the pack are.
type Pace struct {
	// Begin is how long the server may prepare before the first byte.
	Begin time.Duration
	// Each Within must bring Bytes from then on.
	Within time.Duration
	Bytes  int64
}

// usualPace leaves git time for a large repository: GitHub itself ends a
// request before Begin is over.
func usualPace() Pace {
	return Pace{Begin: 15 * time.Minute, Within: 10 * time.Minute, Bytes: 64 << 10}
}

// pieces is how much of a pack is asked for at a time: little enough to see a
// slow one come.
const pieces = 8 << 10

// A paced reader ends the call when the pack that it reads comes more slowly
// than its Pace. Only the time that a read waits counts.
type paced struct {
	r      io.Reader
	pace   Pace
	cancel context.CancelCauseFunc

	timer *time.Timer
	left  time.Duration // of Begin, or of the current Within
	got   int64         // bytes since left was full; below 0: none yet
}

func newPaced(r io.Reader, p Pace, cancel context.CancelCauseFunc) *paced {
	return &paced{r: r, pace: p, cancel: cancel, left: p.Begin, got: -1}
}

func (p *paced) Read(b []byte) (int, error) {
	size := min(len(b), pieces)
	if p.got < 0 {
		size = min(size, 1) // the reader beneath fills what it is given
	}
	p.arm()
	began := time.Now()
	n, err := p.r.Read(b[:size])
	p.timer.Stop()
	p.left -= time.Since(began)
	if n == 0 {
		return n, err
	}
	if p.got < 0 {
		p.left, p.got = p.pace.Within, 0
	}
	if p.got += int64(n); p.got >= p.pace.Bytes {
		p.left, p.got = p.pace.Within, 0
	}
	return n, err
}

func (p *paced) arm() {
	if p.timer == nil {
		p.timer = time.AfterFunc(p.left, func() { p.cancel(p.late()) })
		return
	}
	p.timer.Reset(p.left)
}

// late says what did not come in time. The reader waits meanwhile.
func (p *paced) late() error {
	if p.got < 0 {
		return fmt.Errorf("%w: nothing of the pack in %s", errStalled, p.pace.Begin)
	}
	return fmt.Errorf("%w: fewer than %d bytes of the pack in %s", errStalled, p.pace.Bytes, p.pace.Within)
}
