package strictyaml

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
)

// Schema describes the type of v as a JSON schema, draft 2020-12, from the
// same tags and methods that Decode goes by.
func Schema(v any, title, description string, o Options) []byte {
	s := object{
		{"$schema", "https://json-schema.org/draft/2020-12/schema"},
		{"title", title},
		{"description", description},
	}
	s = append(s, schemaOf(reflect.TypeOf(v), field{}, o)...)
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(s); err != nil {
		panic("strictyaml: schema: " + err.Error()) // only strings, numbers and lists go in
	}
	return b.Bytes()
}

// An object is a JSON object that keeps its order, so that the schema reads
// like the documentation it is.
type object []member

type member struct {
	key   string
	value any
}

// MarshalJSON writes the members in order.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		for _, part := range []struct {
			v   any
			end string
		}{{m.key, ":"}, {m.value, ""}} {
			var one bytes.Buffer
			e := json.NewEncoder(&one)
			e.SetEscapeHTML(false)
			if err := e.Encode(part.v); err != nil {
				return nil, err
			}
			b.Write(bytes.TrimSpace(one.Bytes()))
			b.WriteString(part.end)
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// schemaOf is what a value of type t looks like.
func schemaOf(t reflect.Type, f field, o Options) object {
	if t.Kind() == reflect.Pointer {
		return schemaOf(t.Elem(), f, o)
	}
	if textual(t) {
		text := textSchema(t)
		if t.Kind() == reflect.Struct && len(fields(t)) > 0 {
			return object{{"anyOf", []object{text, structSchema(t, o)}}}
		}
		return text
	}
	switch t.Kind() {
	case reflect.Struct:
		return structSchema(t, o)
	case reflect.Map:
		return object{{"type", "object"}, {"additionalProperties", schemaOf(t.Elem(), field{}, o)}}
	case reflect.Slice:
		s := object{{"type", "array"}, {"items", schemaOf(t.Elem(), field{enum: f.enum, min: f.min, max: f.max}, o)}}
		if f.required {
			s = append(s, member{"minItems", 1})
		}
		return s
	}
	return scalarSchema(t, f)
}

func scalarSchema(t reflect.Type, f field) object {
	var s object
	switch t.Kind() {
	case reflect.String:
		s = object{{"type", "string"}, {"minLength", 1}}
	case reflect.Bool:
		return object{{"type", "boolean"}}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		s = object{{"type", "integer"}}
	case reflect.Float64:
		s = object{{"type", "number"}}
	default:
		panic("strictyaml: type " + t.String() + " cannot be decoded")
	}
	if len(f.enum) > 0 {
		s = append(s, member{"enum", f.enum})
	}
	if f.min != nil {
		s = append(s, member{"minimum", *f.min})
	}
	if f.max != nil {
		s = append(s, member{"maximum", *f.max})
	}
	return s
}

func textSchema(t reflect.Type) object {
	s := object{{"type", "string"}, {"minLength", 1}}
	if p, ok := reflect.New(t).Interface().(Patterned); ok {
		s = append(s, member{"pattern", p.Pattern()})
	}
	return s
}

// structSchema lists a struct's keys; a oneof field's kinds are keys of which
// exactly one is there.
func structSchema(t reflect.Type, o Options) object {
	var props object
	var required []string
	var kinds []object
	for _, f := range fields(t) {
		if f.oneof {
			for _, k := range o.KindNames {
				kind := reflect.TypeOf(o.Kinds(k)).Elem()
				props = append(props, member{k, describe(schemaOf(kind, field{}, o), field{doc: "a job of the kind " + k})})
				kinds = append(kinds, object{{"required", []string{k}}})
			}
			continue
		}
		props = append(props, member{f.name, describe(schemaOf(t.Field(f.index).Type, f, o), f)})
		if f.required {
			required = append(required, f.name)
		}
	}
	s := object{{"type", "object"}, {"additionalProperties", false}, {"properties", props}}
	if required != nil {
		s = append(s, member{"required", required})
	}
	if kinds != nil {
		s = append(s, member{"oneOf", kinds})
	}
	return s
}

// describe puts a key's description and default example in front.
func describe(s object, f field) object {
	if f.doc == "" {
		return s
	}
	return slices.Concat(object{{"description", f.doc}}, s)
}
