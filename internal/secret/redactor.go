package secret

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"sync"
)

// minLength is the shortest text that is taken out. Hiding one of up to three
// characters wherever it stands would make every log unreadable and, by the
// gaps, give the secret away all the same.
const minLength = 4

// weakLength is the shortest secret that is not likely to be a word, a number or
// a piece of a name, too.
const weakLength = 8

// Weak reports whether v is hidden, and so short that ordinary texts may hold
// it, too: what is taken out of them then tells what it is.
func Weak(v Value) bool { return len(strings.TrimSpace(v.Reveal())) < weakLength }

// ErrTooShort is returned for a secret that cannot be hidden.
var ErrTooShort = errors.New("the secret has fewer than 4 characters and cannot be kept out of logs: use a longer one")

// A Redactor takes secrets out of texts, in every encoding in which they
// travel: plain, quoted, URL-encoded, hex, UTF-16, and base64 at any alignment,
// so that base64("x-access-token:" + token) is found too; and in the dumps of
// xxd, od and hexdump, in base64 that is folded into lines, and in escapes, all
// but up to three bytes at the beginning and the end of a line. Of a secret of several
// lines every line is hidden by itself. The zero Redactor knows no secret. It
// is safe for concurrent use.
type Redactor struct {
	mu      sync.RWMutex
	needles []string
	grams   *grams // never changed, only replaced
}

// Add makes v known. A secret that has been written before is not taken back.
// ErrTooShort says that v will not be hidden: refuse to work with it.
func (r *Redactor) Add(v Value) error {
	plain := strings.TrimSpace(v.Reveal())
	if len(plain) < minLength {
		return ErrTooShort
	}
	needles := forms(plain)
	if v.Reveal() != plain {
		needles = append(needles, forms(v.Reveal())...)
	}
	if strings.ContainsAny(plain, "\r\n") {
		for _, line := range strings.FieldsFunc(plain, func(c rune) bool { return c == '\r' || c == '\n' }) {
			// A key's first and last lines say what it is, not what is in it.
			if line = strings.TrimSpace(line); len(line) >= 2*minLength && !strings.HasPrefix(line, "-----") {
				needles = append(needles, forms(line)...)
			}
		}
	}
	needles = append(needles, string(utf16Bytes(plain, binary.LittleEndian)), string(utf16Bytes(plain, binary.BigEndian)))
	needles = slices.DeleteFunc(needles, func(s string) bool { return len(s) < minLength })
	r.mu.Lock()
	defer r.mu.Unlock()
	all := append(slices.Clone(r.needles), needles...)
	slices.Sort(all)
	r.needles = slices.Compact(all)
	more := r.grams.clone()
	more.add(plain)
	r.grams = more
	return nil
}

// Redact returns s with "[secret]" in place of every secret. Where two
// overlap, all that either covers goes.
func (r *Redactor) Redact(s string) string {
	found, _ := r.find(s, false)
	if found == nil {
		return s
	}
	var b strings.Builder
	end := 0
	for _, f := range found {
		b.WriteString(s[end:f.from])
		b.WriteString(redacted)
		end = f.to
	}
	b.WriteString(s[end:])
	return b.String()
}

// A span is a part of a text that is to be hidden.
type span struct{ from, to int }

// find returns where secrets stand in s, in order, touching ones as one, and
// where the first piece of one in a dump begins, len(s) without any. dumped says
// that s is the rest of a line that had such a piece before.
func (r *Redactor) find(s string, dumped bool) (all []span, first int) {
	r.mu.RLock()
	needles, pieces := r.needles, r.grams
	r.mu.RUnlock()
	found := pieces.find(s)
	slices.SortFunc(found, func(a, b span) int { return a.from - b.from })
	first = len(s)
	if len(found) > 0 {
		first = found[0].from
	}
	hits := found
	if dumped {
		hits = append([]span{{}}, found...)
	}
	if len(hits) > 0 {
		found = append(found, pieces.columns(s, hits)...)
	}
	for _, n := range needles {
		for from := 0; ; {
			i := strings.Index(s[from:], n)
			if i < 0 {
				break
			}
			found = append(found, span{from + i, from + i + len(n)})
			from += i + 1 // they may overlap themselves
		}
	}
	slices.SortFunc(found, func(a, b span) int { return a.from - b.from })
	merged := found[:0]
	for _, f := range found {
		if last := len(merged) - 1; last >= 0 && f.from <= merged[last].to {
			merged[last].to = max(merged[last].to, f.to)
			continue
		}
		merged = append(merged, f)
	}
	return merged, first
}

// longest is the length of the longest text looked for.
func (r *Redactor) longest() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	n := 0
	for _, s := range r.needles {
		n = max(n, len(s))
	}
	return n
}
