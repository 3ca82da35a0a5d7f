package rebuild

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
)

const (
	packHeader = 12 // "PACK", version, number of objects: gitformat-pack(5)
	inputSize  = 64 << 10
)

var errAbandoned = errors.New("nobody reads on")

// An input is a pack as it streams in. It ends with ctx, remembers how
// reading ended, and sums up what it reads to compare it with the trailer.
type input struct {
	ctx  context.Context
	stop func() // gives up on a Read that is under way
	r    io.Reader
	free []byte // to read into
	rest []byte // read and not yet handed on
	err  error  // how reading ended; io.EOF is regular

	sum  hash.Hash       // of all but the last 20 bytes
	tail [sha1.Size]byte // the trailer, once all is read
	held int             // bytes in tail
	n    int64
}

func newInput(ctx context.Context, r io.Reader) *input {
	in := &input{r: r, free: make([]byte, inputSize), sum: sha1.New()}
	ctx, cancel := context.WithCancelCause(ctx)
	in.ctx, in.stop = ctx, func() { cancel(errAbandoned) }
	return in
}

// header returns how many objects the pack says it holds. The header stays in
// the input.
func (in *input) header() (objects uint32, err error) {
	var head []byte
	for err == nil && len(head) < packHeader {
		err = in.fill()
		head = append(head, in.rest...)
	}
	in.rest = head
	switch {
	case len(head) < packHeader && err == io.EOF:
		return 0, fmt.Errorf("it ends after %d bytes: %w", len(head), io.ErrUnexpectedEOF)
	case len(head) < packHeader:
		return 0, err
	case !bytes.HasPrefix(head, []byte("PACK")):
		return 0, fmt.Errorf("it is not a pack: it begins with %q", head[:4])
	}
	if v := binary.BigEndian.Uint32(head[4:]); v != 2 && v != 3 {
		return 0, fmt.Errorf("it is a pack of version %d, which is unknown", v)
	}
	return binary.BigEndian.Uint32(head[8:]), nil
}

// Read implements io.Reader.
func (in *input) Read(p []byte) (int, error) {
	if len(in.rest) == 0 {
		if err := in.fill(); err != nil && len(in.rest) == 0 {
			return 0, err
		}
	}
	n := copy(p, in.rest)
	in.rest = in.rest[n:]
	return n, nil
}

// fill reads once. in.rest must be empty, or be kept elsewhere.
func (in *input) fill() error {
	in.rest = nil
	if in.err == nil {
		in.err = context.Cause(in.ctx)
	}
	if in.err != nil {
		return in.err
	}
	type result struct {
		n   int
		err error
	}
	done, free := make(chan result, 1), in.free
	go func() {
		n, err := in.r.Read(free)
		done <- result{n, err}
	}()
	select {
	case <-in.ctx.Done():
		in.free = nil // the Read may yet write to it
		in.err = context.Cause(in.ctx)
	case got := <-done:
		in.rest, in.err = in.free[:got.n], got.err
		in.count(in.rest)
	}
	return in.err
}

// count adds all but the last 20 bytes seen so far to the sum.
func (in *input) count(p []byte) {
	in.n += int64(len(p))
	if len(p) >= sha1.Size {
		in.sum.Write(in.tail[:in.held])
		in.sum.Write(p[:len(p)-sha1.Size])
		in.held = copy(in.tail[:], p[len(p)-sha1.Size:])
		return
	}
	if out := in.held + len(p) - sha1.Size; out > 0 {
		in.sum.Write(in.tail[:out])
		in.held = copy(in.tail[:], in.tail[out:in.held])
	}
	in.held += copy(in.tail[in.held:], p)
}

// failed returns the error that ended reading, nil if there was none yet, or
// nothing but the end.
func (in *input) failed() error {
	if in.err == io.EOF || in.err == errAbandoned {
		return nil
	}
	return in.err
}

// finish reads what is left, and makes sure that the trailer fits and that
// it is the end.
func (in *input) finish() error {
	if _, err := io.Copy(io.Discard, in); err != nil {
		return fmt.Errorf("read it: %w", err)
	}
	if in.held < sha1.Size || !bytes.Equal(in.sum.Sum(nil), in.tail[:]) {
		return fmt.Errorf("its %d bytes do not end in their SHA-1: the pack is damaged, cut off, or followed by something else", in.n)
	}
	return nil
}
