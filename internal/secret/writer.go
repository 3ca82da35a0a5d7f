package secret

import (
	"bytes"
	"io"
	"strings"
	"sync"
)

// maxHeld is how much of a line without an end a Writer keeps back, besides
// what is needed to see that no secret is cut.
const maxHeld = 64 << 10

// A Writer passes on what is written to it without the secrets, whole lines at
// a time, so that a secret cut in two by a buffer is found too. A very long line
// is passed on in parts, and comes out as it would in one. Its memory is bounded
// by the longest secret. Call Flush at the end. It is safe for concurrent use.
type Writer struct {
	r *Redactor
	w io.Writer

	mu   sync.Mutex
	held []byte
	// Of a line that is passed on in parts, the end of what has been passed on
	// stays at the beginning of held: whether what follows belongs to a secret
	// is seen from both sides of it.
	done   int  // so many bytes of held
	hidden bool // the last of them was a secret's
	dumped bool // before held, the line had a piece of a secret in a dump
}

// Writer returns a Writer to w.
func (r *Redactor) Writer(w io.Writer) *Writer { return &Writer{r: r, w: w} }

// Write takes all of p, or returns the error of the writer below.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = append(w.held, p...)
	if n := bytes.LastIndexByte(w.held, '\n') + 1; n > 0 {
		if err := w.pass(n, n); err != nil {
			return 0, err
		}
	}
	around := w.around()
	if len(w.held)-w.done > maxHeld+around {
		if err := w.pass(len(w.held)-around, len(w.held)); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// around is how far apart a byte, and what shows that it is a secret's, can be.
func (w *Writer) around() int { return max(w.r.longest(), maxPiece) }

// Flush passes on a last line without an end.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pass(len(w.held), len(w.held))
}

// pass passes held on up to n, having looked at it up to seen. With n = seen it
// is the end of a line.
func (w *Writer) pass(n, seen int) error {
	found, first := w.r.find(string(w.held[:seen]), w.dumped)
	var out strings.Builder
	at, hidden := w.done, w.hidden
	for _, f := range found {
		if f.to <= at || f.from >= n {
			continue
		}
		if f.from > at {
			out.Write(w.held[at:f.from])
			hidden = false
		}
		if !hidden {
			out.WriteString(redacted)
		}
		at, hidden = min(f.to, n), f.to >= n
	}
	if at < n {
		out.Write(w.held[at:n])
		hidden = false
	}
	keep := n
	if n < seen {
		keep = max(n-w.around(), 0)
		w.hidden, w.dumped = hidden, w.dumped || first < keep
	} else {
		w.hidden, w.dumped = false, false
	}
	w.done = n - keep
	w.held = append(w.held[:0], w.held[keep:]...)
	if out.Len() == 0 {
		return nil
	}
	_, err := io.WriteString(w.w, out.String())
	return err
}
