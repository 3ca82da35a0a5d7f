// Package strictyaml decodes a YAML document into Go structs and reports every
// mistake in it at once, each with its place, the line itself and what would be
// right. It takes the plain part of YAML: one document, no anchors, aliases,
// merge keys or tags, no empty values.
//
// Struct fields are named by tags; fields without a yaml tag are left alone:
//
//	Owners []string `yaml:"owners,required" doc:"whose repositories" example:"[octocat]"`
//	Port   int      `yaml:"port" min:"1" max:"65535"`
//	Mode   string   `yaml:"mode" enum:"fast,safe"`
//	Work   Work     `yaml:",oneof"` // struct { Kind string; Config SomeInterface }
//
// Types with UnmarshalText take text; when its error reads "what is wrong: what
// would be right", both parts are shown in their places. A struct type with
// UnmarshalText and tagged fields takes either text or a mapping. The optional
// method Pattern() string gives the text's regular expression for the schema,
// the optional method Sensitive() marks text that must never be shown.
package strictyaml

import (
	"fmt"
	"reflect"
	"slices"
	"sort"
	"strings"
)

// MaxSize is the largest document taken, in bytes. It bounds what a hostile
// file can cost: nothing in this syntax can grow beyond its own text.
const MaxSize = 256 << 10

// Options say what the types alone do not.
type Options struct {
	// Kinds returns a pointer to a new value for a key of a oneof field, nil
	// when there is no such kind.
	Kinds func(key string) any
	// KindNames are the keys that Kinds knows.
	KindNames []string
	// Redact takes what must not be shown out of a line of the document.
	Redact func(line string) string
}

// A Document remembers where everything stood, so that mistakes found after
// decoding can be located too.
type Document struct {
	name     string
	lines    []string
	places   map[string]place
	wrong    map[string]bool // paths that could not be decoded
	decoded  bool
	masks    masker
	mistakes Mistakes
	more     int // mistakes beyond maxMistakes
}

// maxMistakes is how many mistakes are told apart; the rest is counted.
const maxMistakes = 200

// A place is where a value or a key stands.
type place struct {
	line, column int
	sensitive    bool // a value: never show the line from column on
	hideValue    bool // a key: never show what follows it
}

// Decode decodes src, which came from the file called name, into the struct
// that into points to. Values already there are defaults. The Document is
// valid even when there are mistakes; they are in Document.Err.
func Decode(name string, src []byte, into any, o Options) *Document {
	d := &Document{name: name, places: map[string]place{}, wrong: map[string]bool{}}
	root := reflect.ValueOf(into).Elem()
	d.masks = newMasker(root.Type(), o)
	body, ok := d.parse(src)
	if !ok {
		return d
	}
	w := &walker{doc: d, opts: o}
	w.value(body, "", root, field{})
	d.decoded = true
	return d
}

// Has reports whether the document has something at path ("jobs[0].name").
func (d *Document) Has(path string) bool {
	_, ok := d.places[path]
	return ok
}

// Add adds a mistake found after decoding. path is a place in the document;
// when nothing stands there, the nearest thing around it is shown. A path that
// could not be decoded has its mistake already and gets no second one.
func (d *Document) Add(path, what, fix string) {
	if d.known(path) {
		return
	}
	at := path
	for at != "" && !d.Has(at) {
		cut := strings.LastIndexAny(at, ".[")
		at = at[:max(cut, 0)]
	}
	d.add(d.places[at], path, what, fix)
}

// known reports whether path, something in it or something around it could
// not be decoded.
func (d *Document) known(path string) bool {
	for w := range d.wrong {
		a, b := path, w
		if len(a) > len(b) {
			a, b = b, a
		}
		if rest, ok := strings.CutPrefix(b, a); ok && (rest == "" || a == "" || rest[0] == '.' || rest[0] == '[') {
			return true
		}
	}
	return false
}

// Err returns all mistakes in the order of the document, nil when there are
// none.
func (d *Document) Err() error {
	if len(d.mistakes) == 0 {
		return nil
	}
	sort.SliceStable(d.mistakes, func(i, k int) bool {
		a, b := d.mistakes[i], d.mistakes[k]
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Column < b.Column
	})
	if d.more > 0 {
		rest := Mistake{File: d.name, What: fmt.Sprintf("%d more mistakes", d.more), Fix: "correct these first"}
		return append(slices.Clone(d.mistakes), rest)
	}
	return d.mistakes
}

// add records a mistake at a place.
func (d *Document) add(at place, path, what, fix string) {
	if !d.decoded {
		d.wrong[path] = true
	}
	if len(d.mistakes) == maxMistakes {
		d.more++
		return
	}
	at = d.onText(at)
	m := Mistake{
		File: d.name, Line: at.line, Column: at.column,
		Path: d.masks.text(path), What: d.masks.text(what), Fix: d.masks.text(fix),
	}
	if at.line >= 1 && at.line <= len(d.lines) {
		m.Source = d.masks.line(d.lines[at.line-1], at)
	}
	d.mistakes = append(d.mistakes, m)
}

// onText moves a place from blanks to the text after them: the parser puts a
// value behind tabs too far to the left, and nothing at all too far right.
func (d *Document) onText(at place) place {
	if at.line < 1 || at.line > len(d.lines) {
		return at
	}
	line := []rune(d.lines[at.line-1])
	at.column = min(at.column, len(line)+1)
	for c := at.column; c <= len(line); c++ {
		if line[c-1] != ' ' && line[c-1] != '\t' {
			at.column = c
			break
		}
	}
	return at
}

// join appends a key to a path.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func index(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }
