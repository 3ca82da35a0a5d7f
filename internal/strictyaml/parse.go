package strictyaml

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxDepth bounds nesting; the parser recurses without a bound of its own.
const maxDepth = 64

// parse returns the only document's value. What is wrong with the text as
// such is recorded, and ok is false.
func (d *Document) parse(src []byte) (body ast.Node, ok bool) {
	src = bytes.TrimPrefix(src, []byte("\xef\xbb\xbf"))
	if !d.plainText(src) {
		return nil, false
	}
	text := strings.ReplaceAll(string(src), "\r\n", "\n")
	d.lines = strings.Split(text, "\n")
	// The library panics on some malformed input; that is a syntax error here.
	defer func() {
		if r := recover(); r != nil {
			d.add(place{}, "", "this is not YAML that can be read", "simplify it")
			body, ok = nil, false
		}
	}()
	tokens := lexer.Tokenize(text)
	if !d.oneDocument(tokens) || !d.shallow(tokens) {
		return nil, false
	}
	// Duplicate keys are allowed here to be reported by us, all of them.
	file, err := parser.ParseBytes([]byte(text), 0, parser.AllowDuplicateMapKey())
	if err != nil {
		d.syntaxError(err)
		return nil, false
	}
	if len(file.Docs) != 1 || file.Docs[0].Body == nil {
		d.add(place{}, "", "the file is empty", "mayfly init writes a first one")
		return nil, false
	}
	return file.Docs[0].Body, true
}

// plainText refuses what no parser should see.
func (d *Document) plainText(src []byte) bool {
	switch {
	case len(src) > MaxSize:
		d.add(place{}, "", fmt.Sprintf("the file has %d bytes", len(src)), fmt.Sprintf("at most %d are read", MaxSize))
		return false
	case bytes.HasPrefix(src, []byte("\xff\xfe")) || bytes.HasPrefix(src, []byte("\xfe\xff")):
		d.add(place{}, "", "the file is UTF-16", "save it as UTF-8")
		return false
	}
	line, column := 1, 1
	for i := 0; i < len(src); {
		r, n := utf8.DecodeRune(src[i:])
		bad := r == utf8.RuneError && n == 1
		if bad || r < 0x20 && r != '\n' && r != '\t' && r != '\r' {
			start := bytes.LastIndexByte(src[:i], '\n') + 1
			end := len(src)
			if nl := bytes.IndexByte(src[i:], '\n'); nl >= 0 {
				end = i + nl
			}
			d.lines = make([]string, line)
			d.lines[line-1] = strings.ToValidUTF8(string(src[start:end]), "\uFFFD")
			what, fix := "a byte that is not UTF-8", "save the file as UTF-8"
			if !bad {
				what, fix = "a control character", "remove it"
			}
			d.add(place{line: line, column: column}, "", what, fix)
			return false
		}
		i, column = i+n, column+1
		if r == '\n' {
			line, column = line+1, 1
		}
	}
	return true
}

// oneDocument refuses a second document and directives, which the parser
// would drop without a word in some places.
func (d *Document) oneDocument(tokens token.Tokens) bool {
	header, content, ended := false, false, false
	for _, t := range tokens {
		switch {
		case t.Type == token.CommentType:
			continue
		case t.Type == token.DirectiveType:
			d.add(at(t), "", "directives are not supported", "remove the line")
			return false
		case ended || t.Type == token.DocumentHeaderType && (header || content):
			d.add(at(t), "", "a second document begins", "one file holds one deployment: put this one into a file of its own")
			return false
		case t.Type == token.DocumentHeaderType:
			header = true
		case t.Type == token.DocumentEndType:
			ended = true
		default:
			content = true
		}
	}
	return true
}

// shallow refuses nesting deeper than any config needs.
func (d *Document) shallow(tokens token.Tokens) bool {
	flow, dashes, line := 0, 0, 0
	for _, t := range tokens {
		if t.Position.Line != line {
			line, dashes = t.Position.Line, 0
		}
		switch t.Type {
		case token.MappingStartType, token.SequenceStartType:
			flow++
		case token.MappingEndType, token.SequenceEndType:
			flow--
		case token.SequenceEntryType, token.MappingKeyType, token.TagType, token.AnchorType:
			dashes++
		}
		if flow+dashes > maxDepth || t.Position.Column > 10*maxDepth && t.Type == token.MappingValueType && flow == 0 {
			d.add(at(t), "", "nested too deeply", "write it flatter")
			return false
		}
	}
	return true
}

// syntaxError records the parser's error, which is the first of its kind:
// nothing after it can be read.
func (d *Document) syntaxError(err error) {
	var where place
	what := "this is not YAML that can be read"
	if e, ok := err.(interface {
		GetToken() *token.Token
		GetMessage() string
	}); ok {
		what = e.GetMessage()
		if t := e.GetToken(); t != nil && t.Position != nil {
			where = at(t)
		}
	}
	fix := "check quotes, brackets and indentation here and in the line above"
	for _, h := range hints {
		if strings.Contains(what, h.part) {
			if h.what != "" {
				what = h.what
			}
			fix = h.fix
			break
		}
	}
	d.masks.strict = true
	d.add(where, "", what, fix)
	d.masks.strict = false
}

// hints say in our words what the parser's messages mean.
var hints = []struct{ part, what, fix string }{
	{"'\t'", "a tab in the indentation", "indent with spaces"},
	{"mapping value is not allowed", "a key is not expected here", `indent keys of one mapping alike, and put text that holds ": " in quotes`},
	{"reserved character", "", "put the text in quotes"},
	{"end character of", "the quotes are not closed", "close them in the same line"},
	{"flow mapping end token", "the brace is not closed", `add "}"`},
	{"sequence end token", "the bracket is not closed", `add "]"`},
	{"',' or ']'", "the bracket is not closed", `add "]" or a comma`},
	{"',' or '}'", "the brace is not closed", `add "}" or a comma`},
	{"unexpected key name", "this is not a key and its value", `write "key: value", with a space after the colon`},
	{"unknown escape", "", `use single quotes, or write "\\" for a backslash`},
	{"block sequence entries", "a list is not expected here", "begin it on the next line, indented"},
}

// at is the place of a token.
func at(t *token.Token) place {
	if t == nil || t.Position == nil {
		return place{}
	}
	return place{line: t.Position.Line, column: t.Position.Column}
}
