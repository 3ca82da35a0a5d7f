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
	ageForm   = regexp.MustCompile(`^([0-9]{1,6})([hdw])$`)
	stampForm = regexp.MustCompile(`^([0-9]{8}T[0-9]{6}Z)(-[a-z0-9-]+)?$`)
)

// parseAt reads a point in time. A day means its end: what was there when it
// was over.
func parseAt(s string, now time.Time, zone *time.Location) (time.Time, error) {
	if m := ageForm.FindStringSubmatch(s); m != nil {
		n, _ := strconv.Atoi(m[1]) // six digits
		switch m[2] {
		case "h":
			return now.Add(-time.Duration(n) * time.Hour), nil
		case "w":
			n *= 7
		}
		return now.AddDate(0, 0, -n), nil
	}
	if m := stampForm.FindStringSubmatch(s); m != nil {
		if t, err := time.Parse("20060102T150405Z", m[1]); err == nil {
			return t.Add(time.Second - 1), nil
		}
	}
	for _, form := range []string{"2006-01-02T15:04:05Z07:00", "2006-01-02 15:04:05", "2006-01-02T15:04:05"} {
		if t, err := time.ParseInLocation(form, s, zone); err == nil {
			return t.Add(time.Second - 1), nil // shown without its fraction
		}
	}
	for _, form := range []string{"2006-01-02 15:04", "2006-01-02T15:04"} {
		if t, err := time.ParseInLocation(form, s, zone); err == nil {
			return t.Add(time.Minute - 1), nil
		}
	}
	if t, err := time.ParseInLocation("2006-01-02", s, zone); err == nil {
		return t.AddDate(0, 0, 1).Add(-1), nil
	}
	return time.Time{}, fmt.Errorf("--at %q is no time: write 2026-11-20, \"2026-11-20 17:00\", 2026-11-20T17:04:12Z, a run's id, or an age like 30d", s)
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
