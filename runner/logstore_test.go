package runner

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestLogPieces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := newMemStore()
		l := newLogStore(st, "R")
		l.keep(t.Context())
		fmt.Fprint(l, "one\n")
		time.Sleep(pieceEvery + time.Second)
		if got := st.text("runs/R/log/00001.txt"); got != "one\n" {
			t.Errorf("first piece %q", got)
		}
		time.Sleep(time.Minute) // nothing to say
		fmt.Fprint(l, "two\n")
		if err := l.close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if keys := st.keys("runs/R/log/"); len(keys) != 2 || st.text(keys[1]) != "two\n" {
			t.Errorf("pieces %v", keys)
		}
	})
}

func TestLogSurvivesStoreTrouble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := newMemStore()
		var away atomic.Bool
		away.Store(true)
		lost := false
		st.fault = func(op, key string) error {
			if away.Load() {
				return errors.New("503")
			}
			return nil
		}
		st.after = func(key string) error { // the first reply is lost
			if !lost {
				lost = true
				return errors.New("connection reset")
			}
			return nil
		}
		l := newLogStore(st, "R")
		l.keep(t.Context())
		for i := range 100 {
			fmt.Fprintf(l, "line %d\n", i)
			time.Sleep(time.Second)
		}
		away.Store(false)
		time.Sleep(2*pieceEvery + time.Second)
		if err := l.close(t.Context()); err != nil {
			t.Fatal(err)
		}
		var all string
		for _, k := range st.keys("runs/R/log/") {
			all += st.text(k)
		}
		if want := 100; strings.Count(all, "\n") != want || !strings.HasPrefix(all, "line 0\n") || !strings.HasSuffix(all, "line 99\n") {
			t.Errorf("%d lines of %d:\n%s", strings.Count(all, "\n"), want, all)
		}
	})
}

func TestLogMemoryIsBounded(t *testing.T) {
	t.Parallel()
	st := newMemStore()
	l := newLogStore(st, "R")
	line := strings.Repeat("x", 999) + "\n"
	for range 5000 {
		if n, err := l.Write([]byte(line)); n != len(line) || err != nil {
			t.Fatal(n, err)
		}
	}
	if len(l.pending) > pieceMax {
		t.Errorf("%d bytes are kept", len(l.pending))
	}
	err := l.close(t.Context())
	if err == nil || !strings.Contains(err.Error(), "lines are missing") {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(st.text("runs/R/log/00001.txt"), "lines are missing here") {
		t.Error("the piece does not say that lines are missing")
	}
}

func TestExcerpt(t *testing.T) {
	t.Parallel()
	var e excerpt
	for i := range 100_000 {
		fmt.Fprintf(&e, "line %06d\n", i)
	}
	head, tail, cut := e.parts()
	if !strings.HasPrefix(head, "line 000000\n") || !strings.HasSuffix(tail, "line 099999\n") {
		t.Error("beginning or end is missing")
	}
	if int64(len(head)+len(tail))+cut != 1_200_000 {
		t.Errorf("%d + %d + %d bytes", len(head), len(tail), cut)
	}
	if len(head)+cap(e.tail) > 8*excerptHalf {
		t.Errorf("%d bytes are kept", len(head)+cap(e.tail))
	}
}

// A run over many repositories that all fail logs much at once; with a store
// that works nothing of it may be lost.
func TestLogThatComesFast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := newMemStore()
		l := newLogStore(st, "R")
		l.keep(t.Context())
		line := strings.Repeat("x", 1023) + "\n"
		const lines = 8 << 10
		for i := range lines {
			fmt.Fprint(l, line)
			if i%100 == 0 {
				time.Sleep(10 * time.Millisecond)
			}
		}
		if err := l.close(t.Context()); err != nil {
			t.Error(err)
		}
		got := 0
		for _, k := range st.keys("runs/R/log/") {
			got += strings.Count(st.text(k), line)
		}
		if got != lines {
			t.Errorf("%d of %d lines kept", got, lines)
		}
	})
}
