package store

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// Whoever comes first is served first: small requests do not overtake one for
// the whole pool.
func TestPoolIsFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(3, 8)
		held, err := p.get(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		order := make(chan int, 2)
		for i, n := range []int{3, 1} {
			time.Sleep(time.Second)
			go func() {
				bufs, err := p.get(t.Context(), n)
				if err != nil {
					t.Error(err)
				}
				order <- i
				time.Sleep(time.Second)
				p.put(bufs)
			}()
		}
		time.Sleep(time.Second)
		if len(order) != 0 {
			t.Error("served although a buffer was held")
		}
		p.put(held)
		if first := <-order; first != 0 {
			t.Error("the small request overtook the large one")
		}
		<-order
		time.Sleep(2 * time.Second)
		if used, peak := p.InUse(); used != 0 || peak != 3 || len(p.free) != 3 {
			t.Errorf("%d in use, %d at most, %d allocated", used, peak, len(p.free))
		}
	})
}

func TestPoolHeedsContext(t *testing.T) {
	t.Parallel()
	p := NewPool(1, 8)
	bufs, err := p.get(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	why := errors.New("because")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if _, err := p.get(ctx, 1); !errors.Is(err, why) {
		t.Errorf("error %v, want the cause", err)
	}
	p.put(bufs)
	if bufs, err = p.get(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	p.put(bufs)
}
