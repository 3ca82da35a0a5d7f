package strictyaml

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// A field is what a struct field's tags say.
type field struct {
	name     string
	index    int
	required bool
	oneof    bool
	doc      string
	example  string
	enum     []string
	min, max *float64
}

// fields reads the tags of a struct type. A tag that makes no sense is a
// programming error and panics; the schema's test visits every type.
func fields(t reflect.Type) []field {
	var fs []field
	for i := range t.NumField() {
		sf := t.Field(i)
		tag, ok := sf.Tag.Lookup("yaml")
		if !ok || tag == "-" {
			continue
		}
		name, opts, _ := strings.Cut(tag, ",")
		f := field{name: name, index: i, doc: sf.Tag.Get("doc"), example: sf.Tag.Get("example")}
		f.min, f.max = bound(sf, "min"), bound(sf, "max")
		if e := sf.Tag.Get("enum"); e != "" {
			f.enum = strings.Split(e, ",")
		}
		switch opts {
		case "":
		case "required":
			f.required = true
		case "oneof":
			f.oneof = true
		default:
			panic(fmt.Sprintf("strictyaml: %s.%s: unknown tag option %q", t, sf.Name, opts))
		}
		if f.name == "" && !f.oneof {
			panic(fmt.Sprintf("strictyaml: %s.%s: no name in the yaml tag", t, sf.Name))
		}
		fs = append(fs, f)
	}
	return fs
}

func bound(sf reflect.StructField, tag string) *float64 {
	s, ok := sf.Tag.Lookup(tag)
	if !ok {
		return nil
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		panic(fmt.Sprintf("strictyaml: %s: tag %s: %v", sf.Name, tag, err))
	}
	return &v
}

// Patterned is a text type that knows its grammar: an ECMA 262 regular
// expression without lookaround, for the schema.
type Patterned interface{ Pattern() string }

// Sensitive marks a text type whose rejected values must never be shown.
type Sensitive interface{ Sensitive() }

// textual reports whether t is decoded by UnmarshalText.
func textual(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

func sensitive(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[Sensitive]())
}

// element strips pointers, lists and maps.
func element(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		if textual(t) {
			return t
		}
		t = t.Elem()
	}
	return t
}
