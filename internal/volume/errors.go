package volume

import (
	"context"
	"errors"
	"fmt"
)

// What is wrong, for errors.Is.
var (
	// ErrForeign: there is something on it that is not this host's.
	ErrForeign = errors.New("the volume holds something else")
	// ErrUnfinished: mayfly began to format it and did not come to an end.
	ErrUnfinished = errors.New("the volume's formatting was cut off")
	// ErrUnproven: a condition for formatting it does not hold.
	ErrUnproven = errors.New("the volume may not be formatted")
	// ErrUnreadable: it cannot be read.
	ErrUnreadable = errors.New("the volume cannot be read")
	// ErrDamaged: its file system needs a person.
	ErrDamaged = errors.New("the file system is damaged")
	// ErrBusy: somebody uses it.
	ErrBusy = errors.New("the volume is in use")
)

// An Error is what went wrong with a volume, and what to do about it.
type Error struct {
	Doing  string // "inspect", "mount"
	Volume string
	Reason string
	Fix    string // may be ""
	Err    error  // one of the above, or what was met; may be nil
}

func (e *Error) Error() string {
	s := e.Doing + " " + e.Volume + ": " + e.Reason
	if e.Fix != "" {
		s += ": " + e.Fix
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// failed is an error without advice of its own.
func failed(doing, volume string, err error) error {
	var e *Error
	if errors.As(err, &e) {
		return err
	}
	return &Error{Doing: doing, Volume: volume, Reason: err.Error(), Err: err}
}

// A toolError is a program that failed.
type toolError struct {
	name string
	code int    // its exit code; -1: it has none
	said string // on stderr, or on stdout where that is empty
	err  error  // when it has no exit code; may be nil
}

func (e *toolError) Error() string {
	s := e.name + ": "
	switch {
	case errors.Is(e.err, context.DeadlineExceeded):
		s += "not done in time"
	case e.err != nil:
		s += e.err.Error()
	default:
		s += fmt.Sprintf("exit code %d", e.code)
	}
	if e.said != "" {
		s += ": " + e.said
	}
	return s
}

func (e *toolError) Unwrap() error { return e.err }
