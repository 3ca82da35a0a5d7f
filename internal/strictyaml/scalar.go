package strictyaml

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// text decodes by UnmarshalText. Only text is taken, so that no value depends
// on how YAML reads an unquoted word; but what is wrong with a number is said
// by the type itself ("90" is no duration).
func (w *walker) text(n ast.Node, path string, v reflect.Value, where place) {
	s, isText := textOf(n)
	if !isText {
		plain, ok := plainOf(n)
		if !ok {
			w.wrongType(n, path, where, "text")
			return
		}
		s = plain
	}
	if s == "" {
		w.doc.add(where, path, "is empty", "write a value, or remove the key")
		return
	}
	err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(s))
	switch {
	case err != nil:
		what, fix, _ := strings.Cut(err.Error(), ": ")
		w.doc.add(where, path, what, fix)
	case !isText:
		w.wrongType(n, path, where, "text")
	default:
		where.sensitive = false // a good reference may be shown
		w.doc.places[path] = where
	}
}

// scalar decodes text, truth values and numbers.
func (w *walker) scalar(n ast.Node, path string, v reflect.Value, f field, where place) {
	switch v.Kind() {
	case reflect.String:
		w.str(n, path, v, f, where)
	case reflect.Bool:
		b, ok := n.(*ast.BoolNode)
		if !ok || b.Token.Value != "true" && b.Token.Value != "false" {
			w.doc.add(where, path, "must be true or false, is "+kindOf(n), "write true or false, without quotes")
			return
		}
		v.SetBool(b.Value)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		w.integer(n, path, v, f, where)
	case reflect.Float64:
		w.float(n, path, v, f, where)
	default:
		panic(fmt.Sprintf("strictyaml: %s: type %s cannot be decoded", path, v.Type()))
	}
}

func (w *walker) str(n ast.Node, path string, v reflect.Value, f field, where place) {
	s, ok := textOf(n)
	switch {
	case !ok:
		w.wrongType(n, path, where, "text")
	case s == "":
		w.doc.add(where, path, "is empty", "write a value, or remove the key")
	case len(f.enum) > 0 && !slices.Contains(f.enum, s):
		fix := "write one of: " + strings.Join(f.enum, ", ")
		if near := nearest(s, f.enum); near != "" {
			fix = fmt.Sprintf("did you mean %q?", near)
		}
		w.doc.add(where, path, "is not one of "+strings.Join(f.enum, ", "), fix)
	default:
		v.SetString(s)
	}
}

// decimal leaves out what YAML readers disagree on: 0x1F, 0o17, 017, 1_000.
var decimal = regexp.MustCompile(`^-?(?:0|[1-9][0-9]*)$`)

func (w *walker) integer(n ast.Node, path string, v reflect.Value, f field, where place) {
	word := n.GetToken().Value
	if _, ok := n.(*ast.IntegerNode); !ok || !decimal.MatchString(word) {
		w.wrongType(n, path, where, "a whole number")
		return
	}
	i, err := strconv.ParseInt(word, 10, 64)
	if err != nil || v.OverflowInt(i) {
		w.doc.add(where, path, "the number is too large", "write a smaller one")
		return
	}
	if w.inBounds(float64(i), path, f, where) {
		v.SetInt(i)
	}
}

// fraction is a decimal number without an exponent.
var fraction = regexp.MustCompile(`^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?$`)

func (w *walker) float(n ast.Node, path string, v reflect.Value, f field, where place) {
	word := n.GetToken().Value
	_, isInt := n.(*ast.IntegerNode)
	_, isFloat := n.(*ast.FloatNode)
	x, err := strconv.ParseFloat(word, 64)
	if !isInt && !isFloat || !fraction.MatchString(word) || err != nil || math.IsInf(x, 0) {
		w.wrongType(n, path, where, "a number")
		return
	}
	if w.inBounds(x, path, f, where) {
		v.SetFloat(x)
	}
}

func (w *walker) inBounds(x float64, path string, f field, where place) bool {
	switch {
	case f.min != nil && x < *f.min:
		w.doc.add(where, path, "the number is too small", fmt.Sprintf("at least %v", *f.min))
	case f.max != nil && x > *f.max:
		w.doc.add(where, path, "the number is too large", fmt.Sprintf("at most %v", *f.max))
	default:
		return true
	}
	return false
}

// wrongType reports a value of another type than wanted.
func (w *walker) wrongType(n ast.Node, path string, where place, want string) {
	is, fix := kindOf(n), "write "+want
	plain, short := plainOf(n)
	text, _ := textOf(n)
	switch {
	case want == "text" && short && !where.sensitive:
		fix = fmt.Sprintf("put it in quotes: %q", plain)
	case want == "text" && brokenText(n) && !where.sensitive:
		fix = "put the whole of it in quotes"
	case want == "a whole number" && is == "a number":
		is, fix = "another kind of number", "write digits only, without a leading zero"
	case want == "a number" && is == "a number":
		is, fix = "one in another notation", "write it like 0.02"
	case want == "a whole number" && decimal.MatchString(text), want == "a number" && fraction.MatchString(text):
		fix = "write it without quotes"
	case want == "a mapping":
		fix = "write keys and values, indented, below it"
	}
	w.doc.add(where, path, "must be "+want+", is "+is, fix)
}
