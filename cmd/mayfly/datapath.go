package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mayfly/internal/archive"
	"mayfly/internal/store"
)

// splitPath takes PREFIX/OWNER/NAME apart.
func splitPath(arg string) (prefix, owner, name string, err error) {
	parts := strings.Split(arg, "/")
	if len(parts) < 3 {
		return "", "", "", fmt.Errorf("%q is not a repository: write PREFIX/OWNER/NAME, as mayfly list shows it", arg)
	}
	n := len(parts)
	prefix, owner, name = path.Join(parts[:n-2]...), parts[n-2], parts[n-1]
	if err := errors.Join(archive.CheckName(owner, name), store.CheckKey(arg)); err != nil {
		return "", "", "", fmt.Errorf("%q is not a repository: write PREFIX/OWNER/NAME, as mayfly list shows it", arg)
	}
	return prefix, owner, name, nil
}

// checkPath refuses what cannot be the beginning of a key.
func checkPath(arg string) error {
	if arg == "" {
		return nil
	}
	if err := store.CheckKey(arg); err != nil {
		return fmt.Errorf("%w: write PREFIX, PREFIX/OWNER or PREFIX/OWNER/NAME, as mayfly list shows it", err)
	}
	return nil
}

var (
	ageForm   = regexp.MustCompile(`^([0-9]{1,6})([mhdw])$`)
	stampForm = regexp.MustCompile(`^([0-9]{8}T[0-9]{6}Z)(-[a-z0-9-]+)?$`)
)

// A timeForm is a way to write a time, and how long what it names lasts.
type timeForm struct {
	layout string
	last   func(time.Time) time.Time
}

var timeForms = []timeForm{
	{"2006-01-02T15:04:05Z07:00", second}, {"2006-01-02 15:04:05", second}, {"2006-01-02T15:04:05", second},
	{"Mon 2 Jan 2006 15:04:05 MST", second}, // as moment writes it
	{"2006-01-02T15:04Z07:00", minute}, {"2006-01-02 15:04", minute}, {"2006-01-02T15:04", minute},
	{"2006-01-02 15:04 MST", minute}, // as the table of list does
	{"2006-01-02", func(t time.Time) time.Time { return t.AddDate(0, 0, 1) }},
	{"2006-01", func(t time.Time) time.Time { return t.AddDate(0, 1, 0) }},
}

func second(t time.Time) time.Time { return t.Add(time.Second) } // times are shown without their fraction
func minute(t time.Time) time.Time { return t.Add(time.Minute) }

// clockSkew is how far ahead of this clock a time may be and still mean now.
const clockSkew = time.Minute

// parseAt reads a point in time. A day or month means its end: what was there
// when it was over. One that has not begun yet is an error.
func parseAt(s string, now time.Time, zone *time.Location) (time.Time, error) {
	if s == "now" {
		return now, nil
	}
	if m := ageForm.FindStringSubmatch(s); m != nil {
		n, _ := strconv.Atoi(m[1]) // six digits
		switch m[2] {
		case "m":
			return now.Add(-time.Duration(n) * time.Minute), nil
		case "h":
			return now.Add(-time.Duration(n) * time.Hour), nil
		case "w":
			n *= 7
		}
		return now.AddDate(0, 0, -n), nil
	}
	begun := func(t time.Time, last func(time.Time) time.Time) (time.Time, error) {
		if t.After(now.Add(clockSkew)) {
			return time.Time{}, fmt.Errorf("--at %q is in the future: leave --at out for the newest", s)
		}
		return last(t).Add(-1), nil
	}
	if m := stampForm.FindStringSubmatch(s); m != nil {
		if t, err := time.Parse("20060102T150405Z", m[1]); err == nil {
			return begun(t, second)
		}
	}
	for _, f := range timeForms {
		if t, err := time.ParseInLocation(f.layout, s, zone); err == nil {
			return begun(t, f.last)
		}
	}
	return time.Time{}, fmt.Errorf("--at %q is no time: write 2026-11-20, 2026-11, \"2026-11-20 17:00\", 2026-11-20T17:04:12Z, a run's id, or an age like 30d or 90m", s)
}

// moment is a time as a person reads it.
func moment(t time.Time, zone *time.Location) string {
	return t.In(zone).Format("Mon 2 Jan 2006 15:04:05 MST")
}

// unbound lets the program take the memory that it needs: what bounds a run on
// a small instance would slow work on whole repositories down.
func (a *app) unbound() {
	if a.getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(math.MaxInt64)
	}
}

// ofData gives an error of a command about the store's data its exit code.
func (a *app) ofData(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return &codeError{exitInterrupted, fmt.Errorf("interrupted: nothing half-made is left")}
	}
	return asFailed(err)
}

// notEmpty refuses flags that are given and say nothing, as when a variable of
// a script is not set.
func notEmpty(cmd *cobra.Command) error {
	var err error
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if f.Value.String() == "" && err == nil {
			err = usageError(fmt.Errorf("%s: --%s is empty: give it a value or leave it out", cmd.Name(), f.Name))
		}
	})
	return err
}
