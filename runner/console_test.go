package runner

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Nobody reads the pipe: no write may wait, memory stays bounded, and what
// was dropped is said once somebody reads again.
func TestConsoleNeverWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		c := newConsole(w)
		line := []byte(strings.Repeat("x", 99) + "\n")
		began := time.Now()
		const lines = 3 * consoleMax / 100
		for range lines {
			if n, err := c.Write(line); n != len(line) || err != nil {
				t.Fatal(n, err)
			}
		}
		c.flush(time.Second)
		if waited := time.Since(began); waited != time.Second {
			t.Errorf("waited %v, not the second of flush", waited)
		}
		if c.held > consoleMax {
			t.Errorf("%d bytes held", c.held)
		}
		var got bytes.Buffer
		var reading sync.WaitGroup
		reading.Go(func() { io.Copy(&got, r) })
		c.flush(time.Minute)
		c.Write([]byte("last\n"))
		c.flush(time.Minute)
		w.Close()
		reading.Wait()
		kept := strings.Count(got.String(), "xxx\n")
		if !strings.HasSuffix(got.String(), fmt.Sprintf("(%d lines are missing here: nobody read them in time)\nlast\n", lines-kept)) {
			t.Errorf("%d of %d lines, ending in %q", kept, lines, got.String()[got.Len()-120:])
		}
	})
}

func TestConsoleKeepsOrder(t *testing.T) {
	t.Parallel()
	var got, want bytes.Buffer
	c := newConsole(&got)
	for i := range 1000 {
		fmt.Fprintf(c, "%d\n", i)
		fmt.Fprintf(&want, "%d\n", i)
	}
	c.flush(time.Minute)
	if got.String() != want.String() {
		t.Error("lines changed places or went missing")
	}
}
