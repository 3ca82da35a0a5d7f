package strictyaml

import (
	"regexp"
	"strconv"

	"github.com/goccy/go-yaml/ast"
)

// pairsOf returns a mapping's pairs in the order of the document.
func pairsOf(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

func isMapping(n ast.Node) bool {
	_, ok := pairsOf(n)
	return ok
}

// nodePlace is where a node begins; a block mapping begins at its first key.
func nodePlace(n ast.Node) place {
	switch m := n.(type) {
	case *ast.MappingNode:
		if !m.IsFlowStyle && len(m.Values) > 0 {
			return nodePlace(m.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return nodePlace(m.Key)
	}
	return at(n.GetToken())
}

// kindOf names what a node is, for people.
func kindOf(n ast.Node) string {
	switch n.(type) {
	case *ast.StringNode, *ast.LiteralNode:
		return "text"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number"
	case *ast.BoolNode:
		return "true or false"
	case *ast.NullNode:
		return "nothing"
	case *ast.SequenceNode:
		return "a list"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	}
	return "something else"
}

// textOf returns the text of a text node.
func textOf(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	}
	return "", false
}

// plainOf returns a number or truth value as it was written, or a short text.
func plainOf(n ast.Node) (string, bool) {
	switch n.(type) {
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	if s, ok := n.(*ast.StringNode); ok && len(s.Value) <= 40 && !random.MatchString(s.Value) {
		return s.GetToken().Value, true
	}
	return "", false
}

// plain is what stands in a list in brackets as it is, for every reader of YAML.
var plain = regexp.MustCompile(`^[A-Za-z0-9_./][A-Za-z0-9_./@+-]*$`)

// flowText spells a text as an entry of a list in brackets.
func flowText(s string) string {
	if plain.MatchString(s) {
		return s
	}
	return strconv.Quote(s)
}

// brokenText reports whether a node is one text with a colon in it, like
// s3:GetObject, that the parser has taken for a key and its value: in brackets
// a text with a colon has to be in quotes.
func brokenText(n ast.Node) bool {
	m, ok := pairsOf(n)
	if !ok || len(m) != 1 || m[0].Start == nil {
		return false
	}
	value := m[0].Value.GetToken()
	colon := m[0].Start.Position
	return value != nil && value.Position.Line == colon.Line && value.Position.Column == colon.Column+1
}
