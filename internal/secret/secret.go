// Package secret holds what must never be shown: values that redact
// themselves, references to where they are kept, and a Redactor that takes
// them out of any text in every encoding they travel in.
package secret

import (
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[secret]"

// A Value is a secret in memory. Every way of formatting it (fmt, JSON, slog)
// yields "[secret]"; only Reveal gives the plain text.
type Value struct{ plain string }

// New wraps plain.
func New(plain string) Value { return Value{plain} }

// Reveal returns the plain text. Call it only where the secret is handed to
// the service it is for.
func (v Value) Reveal() string { return v.plain }

// IsZero reports whether there is no secret.
func (v Value) IsZero() bool { return v.plain == "" }

// Format answers every verb: String alone would leave %d to print the fields.
func (v Value) Format(f fmt.State, _ rune)   { io.WriteString(f, redacted) }
func (v Value) String() string               { return redacted }
func (v Value) GoString() string             { return redacted }
func (v Value) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (v Value) MarshalText() ([]byte, error) { return []byte(redacted), nil }
