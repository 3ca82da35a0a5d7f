// Package storetest is the conformance suite that every store.Store passes,
// whatever server or file system is behind it.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"mayfly/internal/store"
)

// Run runs the suite. open returns an empty store; part is the size at which
// its uploads are cut in pieces.
func Run(t *testing.T, part int, open func(t *testing.T) store.Store) {
	for name, test := range map[string]func(*testing.T, store.Store, int){
		"stream": stream, "create only": createOnly, "race": race, "invisible": invisible,
		"put": put, "put race": putRace, "delete": remove, "ranges": ranges, "missing": missing,
		"list": list, "keys": keys, "cancelled": cancelled, "abort uploads": abortUploads, "clock": clock, "overwrite": overwrite,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t), part) })
	}
}

// Bytes returns n bytes that are the same for the same n and do not compress.
func Bytes(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16)}).Read(b)
	return b
}

// Write creates an object in pieces of odd sizes.
func Write(ctx context.Context, st store.Store, key string, b []byte) (store.Object, error) {
	w, err := st.Create(ctx, key)
	if err != nil {
		return store.Object{}, err
	}
	defer w.Close()
	for i := 0; len(b) > 0; i++ {
		n := min(len(b), []int{1, 70_001, 4096, 1_000_003}[i%4])
		if _, err := w.Write(b[:n]); err != nil {
			return store.Object{}, err
		}
		b = b[n:]
	}
	return w.Commit()
}

// Read reads a whole object.
func Read(ctx context.Context, st store.Store, key string) ([]byte, store.Object, error) {
	r, o, err := st.Open(ctx, key, 0, -1)
	if err != nil {
		return nil, o, err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	return b, o, err
}

// Keys lists the keys under prefix.
func Keys(t *testing.T, st store.Store, prefix string) []string {
	t.Helper()
	keys := []string{}
	for o, err := range st.List(context.WithoutCancel(t.Context()), prefix) {
		if err != nil {
			t.Fatal("list:", err)
		}
		keys = append(keys, o.Key)
	}
	return keys
}

func is(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func same(t *testing.T, st store.Store, key string, want []byte) store.Object {
	t.Helper()
	got, o, err := Read(t.Context(), st, key)
	ok(t, err)
	if !bytes.Equal(got, want) {
		t.Fatalf("%s: %d bytes read, not the %d written", key, len(got), len(want))
	}
	return o
}

// noneOpen fails when an unfinished write is left.
func noneOpen(t *testing.T, st store.Store) {
	t.Helper()
	n, err := st.AbortUploads(context.WithoutCancel(t.Context()), "", time.Now().Add(time.Hour))
	ok(t, err)
	if n != 0 {
		t.Fatalf("%d unfinished writes left", n)
	}
}
