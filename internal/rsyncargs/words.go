package rsyncargs

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// A word is one word of the command line as a shell would have read it.
type word struct {
	text string
	// pattern is text for path.Match, with everything escaped that was quoted;
	// "" when no wildcard stood there unquoted.
	pattern string
	tilde   bool // begins with an unquoted ~
}

// Limits on a command line. Linux takes 128 KiB for one argument (MAX_ARG_STRLEN),
// and rsync itself 1,000 arguments (MAX_ARGS in its rsync.h).
const (
	maxLine  = 64 << 10
	maxWords = 1000
)

// split reads a command line as a shell does that knows no variables, no
// substitution and no second command: rsync clients escape with backslashes
// from 3.2.4 on, older ones send what the user typed.
func split(line string) ([]word, error) {
	if len(line) > maxLine {
		return nil, fmt.Errorf("the command line has %d bytes: at most %d are read", len(line), maxLine)
	}
	if strings.ContainsAny(line, "\x00\n\r") {
		return nil, errors.New("the command line holds a NUL or a newline")
	}
	var words []word
	var s splitter
	for s.rest = line; s.rest != ""; {
		done, err := s.step()
		if err != nil {
			return nil, err
		}
		if !done {
			continue
		}
		if words = s.flush(words); len(words) > maxWords {
			return nil, fmt.Errorf("the command line has more than %d words", maxWords)
		}
	}
	if s.quote != 0 {
		return nil, errors.New("the command line ends inside quotes")
	}
	return s.flush(words), nil
}

type splitter struct {
	rest       string
	quote      byte // ' or " or 0
	begun      bool
	wild       bool
	tilde      bool
	text, glob strings.Builder
}

// step takes one character; done says that a word has ended.
func (s *splitter) step() (done bool, err error) {
	c := s.rest[0]
	s.rest = s.rest[1:]
	switch {
	case s.quote == '\'' && c != '\'', s.quote == '"' && c != '"' && c != '\\':
		if s.quote == '"' && (c == '$' || c == '`') {
			return false, fmt.Errorf("the command line holds %q, which only a shell understands", c)
		}
		s.literal(c)
	case s.quote != 0 && c == s.quote:
		s.quote = 0
	case c == '\\':
		if s.rest == "" {
			return false, errors.New("the command line ends in a backslash")
		}
		next := s.rest[0]
		s.rest = s.rest[1:]
		if s.quote == '"' && !strings.ContainsRune("\\\"$`", rune(next)) {
			s.literal('\\')
		}
		s.literal(next)
	case c == '\'' || c == '"':
		s.quote, s.begun = c, true
	case c == ' ' || c == '\t':
		return s.begun, nil
	case strings.IndexByte("$`;&|<>()", c) >= 0:
		return false, fmt.Errorf("the command line holds %q, which only a shell understands: escape it with a backslash if it is part of a name", c)
	case c == '*' || c == '?' || c == '[':
		s.begun, s.wild = true, true
		s.text.WriteByte(c)
		s.glob.WriteByte(c)
	case c == '~' && !s.begun:
		s.tilde = true
		s.literal(c)
	default:
		s.literal(c)
	}
	return false, nil
}

func (s *splitter) literal(c byte) {
	s.begun = true
	s.text.WriteByte(c)
	if c < utf8.RuneSelf && strings.IndexByte(`*?[\`, c) >= 0 {
		s.glob.WriteByte('\\')
	}
	s.glob.WriteByte(c)
}

func (s *splitter) flush(words []word) []word {
	if !s.begun {
		return words
	}
	w := word{text: s.text.String(), tilde: s.tilde}
	if s.wild {
		w.pattern = s.glob.String()
	}
	s.text.Reset()
	s.glob.Reset()
	s.begun, s.wild, s.tilde = false, false, false
	return append(words, w)
}
