package strictyaml

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// A walker goes through the syntax tree and the Go type together.
type walker struct {
	doc  *Document
	opts Options
}

// value decodes n, which stands at path, into v.
func (w *walker) value(n ast.Node, path string, v reflect.Value, f field) {
	where := nodePlace(n)
	where.sensitive = sensitive(element(v.Type()))
	w.doc.places[path] = where
	if w.refused(n, path, where) {
		return
	}
	t := v.Type()
	if t.Kind() == reflect.Pointer {
		if v.IsNil() {
			v.Set(reflect.New(t.Elem()))
		}
		w.value(n, path, v.Elem(), f)
		return
	}
	if textual(t) && !(isMapping(n) && t.Kind() == reflect.Struct && len(fields(t)) > 0) {
		w.text(n, path, v, where)
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		w.structure(n, path, v, where)
	case reflect.Map:
		w.mapping(n, path, v, where)
	case reflect.Slice:
		w.list(n, path, v, f, where)
	default:
		w.scalar(n, path, v, f, where)
	}
}

// refused reports whether n is of the part of YAML that is not taken.
func (w *walker) refused(n ast.Node, path string, where place) bool {
	what, fix := "", ""
	switch n.(type) {
	case *ast.NullNode:
		what, fix = "no value", "write one, or remove the key"
		if strings.HasSuffix(path, "]") {
			fix = "write one, or remove the dash"
		}
	case *ast.AliasNode:
		what, fix = "* begins an alias, which is not supported", "put text that begins with * in quotes"
	case *ast.AnchorNode:
		what, fix = "& begins an anchor, which is not supported", "put text that begins with & in quotes"
	case *ast.TagNode:
		what, fix = "! begins a tag, which is not supported", "remove it, or put text that begins with ! in quotes"
	default:
		return false
	}
	w.doc.add(where, path, what, fix)
	return true
}

// structure decodes a mapping whose keys are the fields of a struct.
func (w *walker) structure(n ast.Node, path string, v reflect.Value, where place) {
	pairs, ok := pairsOf(n)
	if !ok {
		w.wrongType(n, path, where, "a mapping")
		return
	}
	fs := fields(v.Type())
	given := map[string]place{}
	kind, strange := "", false
	for _, p := range pairs {
		key, at, ok := w.key(p, path, given)
		if !ok {
			continue
		}
		sub := join(path, key)
		if f := find(fs, key); f != nil {
			w.value(p.Value, sub, v.Field(f.index), *f)
			w.blockPlace(sub, p.Value, at)
			continue
		}
		one := findOneof(fs)
		if one == nil || w.opts.Kinds == nil || w.opts.Kinds(key) == nil {
			strange = true
			if meant := w.unknown(sub, key, at, fs); meant != "" {
				w.meant(path, meant, at, given, &kind)
			}
			continue
		}
		if kind != "" {
			w.doc.add(at, sub, fmt.Sprintf("%q stands here already", kind), "keep one of the two; the other goes into an entry of its own")
			continue
		}
		kind = key
		w.oneof(p.Value, sub, key, v.Field(one.index))
		w.blockPlace(sub, p.Value, at)
	}
	if kind == "" && !strange && findOneof(fs) != nil {
		w.doc.add(where, path, "does not say what to do", "add one of: "+strings.Join(w.opts.KindNames, ", "))
		delete(w.doc.wrong, path) // what is there may be checked all the same
	}
	w.missing(fs, given, path, where)
}

// oneof decodes a kind's own mapping into its own type.
func (w *walker) oneof(n ast.Node, path, key string, v reflect.Value) {
	into := w.opts.Kinds(key)
	v.Field(0).SetString(key)
	v.Field(1).Set(reflect.ValueOf(into))
	w.value(n, path, reflect.ValueOf(into).Elem(), field{})
}

// missing reports what a mapping must have and has not.
func (w *walker) missing(fs []field, given map[string]place, path string, where place) {
	for _, f := range fs {
		if _, ok := given[f.name]; f.required && !ok {
			fix := "add " + f.name + ":"
			if f.example != "" {
				fix += " " + f.example
			}
			w.doc.add(where, join(path, f.name), "missing", fix)
		}
	}
}

// meant takes a key spelt almost right for given, so that it is not reported
// as missing too.
func (w *walker) meant(path, name string, at place, given map[string]place, kind *string) {
	if w.opts.Kinds != nil && w.opts.Kinds(name) != nil {
		*kind = name
	}
	w.doc.wrong[join(path, name)] = true
	given[name] = at
}

// unknown reports a key that no field has, and returns the name that was
// probably meant.
func (w *walker) unknown(path, key string, at place, fs []field) string {
	var known []string
	for _, f := range fs {
		if f.oneof {
			known = append(known, w.opts.KindNames...)
		} else {
			known = append(known, f.name)
		}
	}
	fix := "remove it; known here: " + strings.Join(known, ", ")
	near := nearest(key, known)
	if near != "" {
		fix = fmt.Sprintf("did you mean %q?", near)
		at.hideValue = w.doc.masks.names[near]
	} else if k := w.kindWith(key, fs); k != "" {
		fix = fmt.Sprintf("it belongs to %s: indent it below that", k)
	}
	w.doc.places[path] = at
	w.doc.add(at, path, "unknown key", fix)
	return near
}

// kindWith is the kind that has such a key, when this is where kinds stand.
func (w *walker) kindWith(key string, fs []field) string {
	if findOneof(fs) == nil {
		return ""
	}
	for _, k := range w.opts.KindNames {
		if t := reflect.TypeOf(w.opts.Kinds(k)).Elem(); find(fields(t), key) != nil {
			return k
		}
	}
	return ""
}

// mapping decodes a mapping with free keys.
func (w *walker) mapping(n ast.Node, path string, v reflect.Value, where place) {
	pairs, ok := pairsOf(n)
	if !ok {
		w.wrongType(n, path, where, "a mapping")
		return
	}
	m := reflect.MakeMap(v.Type())
	given := map[string]place{}
	for _, p := range pairs {
		key, at, ok := w.key(p, path, given)
		if !ok {
			continue
		}
		sub := join(path, key)
		e := reflect.New(v.Type().Elem()).Elem()
		w.value(p.Value, sub, e, field{})
		w.blockPlace(sub, p.Value, at)
		m.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), e)
	}
	v.Set(m)
}

// list decodes a list; enum and bounds are those of its elements.
func (w *walker) list(n ast.Node, path string, v reflect.Value, f field, where place) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		fix := "begin each entry with a dash"
		if s, ok := plainOf(n); ok && !where.sensitive {
			fix = "write [" + flowText(s) + "]"
			if strings.ContainsRune(s, ' ') && f.example != "" { // of one entry, or of several
				fix = "write it like " + f.example
			}
		}
		w.doc.add(where, path, "must be a list, is "+kindOf(n), fix)
		return
	}
	if f.required && len(seq.Values) == 0 {
		fix := "add an entry"
		if f.example != "" {
			fix = "for example " + f.example
		}
		w.doc.add(where, path, "is an empty list", fix)
		return
	}
	s := reflect.MakeSlice(v.Type(), len(seq.Values), len(seq.Values))
	for i, e := range seq.Values {
		w.value(e, index(path, i), s.Index(i), f)
	}
	v.Set(s)
}

// key returns a pair's key and its place, when it is text and new.
func (w *walker) key(p *ast.MappingValueNode, path string, given map[string]place) (string, place, bool) {
	where := nodePlace(p.Key)
	switch k := p.Key.(type) {
	case *ast.StringNode:
		if first, dup := given[k.Value]; dup {
			w.doc.add(where, join(path, k.Value), fmt.Sprintf("duplicate key, first in line %d", first.line), "remove one of the two")
			return "", where, false
		}
		given[k.Value] = where
		return k.Value, where, true
	case *ast.MergeKeyNode:
		w.doc.add(where, path, "merge keys are not supported", "write the keys out")
	case *ast.MappingKeyNode:
		w.doc.add(where, path, `keys that begin with "?" are not supported`, "write key: value")
	default:
		w.doc.add(where, path, "the key is "+kindOf(p.Key)+", not text", "put it in quotes")
	}
	return "", where, false
}

// blockPlace moves the place of a mapping or list to its key, where people
// look for it.
func (w *walker) blockPlace(path string, n ast.Node, key place) {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode, *ast.SequenceNode:
		key.sensitive = false
		w.doc.places[path] = key
	}
}

func find(fs []field, name string) *field {
	for i := range fs {
		if fs[i].name == name && !fs[i].oneof {
			return &fs[i]
		}
	}
	return nil
}

func findOneof(fs []field) *field {
	for i := range fs {
		if fs[i].oneof {
			return &fs[i]
		}
	}
	return nil
}
