// Package store puts objects where they are kept: an S3 bucket or a directory.
// Both behave alike; one conformance suite says how.
package store

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"
)

// Errors that every Store wraps, to be told apart with errors.Is.
var (
	ErrExists   = errors.New("object exists already")        // create-only write lost
	ErrNotExist = errors.New("object does not exist")        // nothing under this key
	ErrChanged  = errors.New("object was changed meanwhile") // conditional write or delete lost
	// ErrAgain says that the store dropped a write for no fault of the data:
	// nothing is left of it, and writing it once more from the start may work.
	ErrAgain = errors.New("the store dropped the write: start it again")
)

// ETag identifies one version of one object's bytes. Opaque; "" is no object.
type ETag string

// An Object is what a store says about one object.
type Object struct {
	Key      string
	Size     int64
	ETag     ETag
	Modified time.Time // by the store's clock
	// Now is the store's clock when it answered (S3: the Date header). Zero
	// in listings. Leases are measured with it, never with the local clock.
	Now time.Time
}

// Attributes are what an object carries besides its bytes. A directory keeps
// none of them.
type Attributes struct {
	Meta   map[string]string // user metadata: names in lower case, printable ASCII
	Class  string            // S3's storage class; "" is the bucket's default
	KMSKey string            // id or ARN of the key that S3 encrypts with; "" is the bucket's default
}

// An Overwriter also writes objects that may be there already. Both stores are
// Overwriters.
type Overwriter interface {
	// Overwrite makes size bytes from r the object, whatever has been there.
	// The object is what it was until all of them are there; then it is whole
	// and durable. An error of r, an end before size bytes, or more of them
	// than size leaves it as it was: r returns an error where others would
	// return io.EOF to say so at the last moment.
	Overwrite(ctx context.Context, key string, r io.Reader, size int64, a Attributes) (Object, error)
	// Meta is Stat, and with it the user metadata that the object has; nil
	// where the store keeps none.
	Meta(ctx context.Context, key string) (Object, map[string]string, error)
}

// A Writer streams one object of unknown length. The object is invisible
// until Commit returns nil; then it is whole and durable.
type Writer interface {
	io.Writer
	// Commit makes the object visible. ErrExists when another writer's object
	// has the key; nothing of ours is left behind then, or after any error.
	Commit() (Object, error)
	// Close drops everything written unless Commit succeeded. It works after
	// the context of Create has ended, within a bounded time. Always call it.
	Close() error
}

// A Store keeps objects. Safe for concurrent use.
//
// Keys are slash-separated relative paths without empty, "." or ".." parts.
type Store interface {
	// Create begins a streaming, create-only write. ctx governs every request
	// until Commit or Close.
	Create(ctx context.Context, key string) (Writer, error)
	// Put writes a small object in one request. old is the version that it
	// replaces; "" means there must be none. ErrExists or ErrChanged when
	// that does not hold.
	Put(ctx context.Context, key string, b []byte, old ETag) (ETag, error)
	// Open reads n bytes from off; n < 0 reads to the end. The body is checked
	// against its length and, for whole objects, its checksum where the store
	// keeps one: io.ErrUnexpectedEOF or another error, never a silent cut.
	Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, Object, error)
	Stat(ctx context.Context, key string) (Object, error)
	// List yields every object whose key begins with prefix, in key order. A
	// non-nil error ends the sequence and means: incomplete.
	List(ctx context.Context, prefix string) iter.Seq2[Object, error]
	// Delete removes one version: ErrChanged when the object is another one by
	// now, ErrNotExist when it is gone.
	Delete(ctx context.Context, key string, old ETag) error
	// AbortUploads drops unfinished writes under prefix that began before the
	// given time, by the store's clock, and returns how many.
	AbortUploads(ctx context.Context, prefix string, before time.Time) (int, error)
	// URL names the object for people: "s3://bucket/prefix/key".
	URL(key string) string
}
