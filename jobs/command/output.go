package command

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"mayfly/runner"
)

const (
	maxLine    = 64 << 10
	recordSize = 110 // bytes of a record in the log, beyond its text
	lastSize   = 4 << 10
	tailMax    = 512 << 10
)

// An output passes on what a command prints, line by line: the first part at
// once, and of the rest the last part at the end. Its memory does not grow
// with what is written to it. Secrets and what a terminal would act on are
// taken out. It is for one writer.
type output struct {
	log    func(line string)
	redact func(string) string
	hold   int   // no secret is longer than this in any spelling
	room   int64 // of the log, for what comes now
	tail   int64 // of the log, for what comes last

	held  []byte // a line whose end has not come
	skips bool   // what comes up to the end of the line
	ring  *ring  // once room is used up
	last  []string
	size  int // of last
}

// newOutput returns an output that takes limit bytes of a log. longest is the
// longest secret's length.
func newOutput(limit int64, longest int, redact func(string) string, log func(string)) *output {
	tail := min(limit/2, tailMax)
	return &output{log: log, redact: redact, hold: max(6*longest+lastSize, 16<<10), room: limit - tail, tail: tail}
}

// Write never fails.
func (o *output) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 && o.ring == nil {
		i := bytes.IndexByte(p, '\n')
		if o.skips {
			if i < 0 {
				return n, nil
			}
			p, o.skips = p[i+1:], false
			continue
		}
		if i < 0 {
			o.held = append(o.held, p...)
			o.cutHeld()
			return n, nil
		}
		o.held = append(o.held, p[:i]...)
		p = p[i+1:]
		line := o.held
		o.held = nil
		o.line(line)
	}
	if len(p) > 0 {
		o.ring.write(p)
	}
	return n, nil
}

// line passes one whole line on while there is room; it and all that follows
// goes into the ring when there is none.
func (o *output) line(raw []byte) {
	rest := int64(len(raw)) // what is read counts, whatever is shown of it
	for _, text := range o.harmless(raw) {
		cost := max(int64(len(text)), rest) + recordSize
		rest = 0
		if o.ring == nil && cost > o.room {
			o.ring = newRing(int(o.tail) + o.hold + maxLine)
			o.room = 0
		}
		if o.ring != nil {
			o.ring.write(append([]byte(text), '\n'))
			continue
		}
		o.room -= cost
		o.say(text)
	}
}

// cutHeld passes on the beginning of a line that is too long, cut where no
// secret is. Where there is no such place, the line is left out.
func (o *output) cutHeld() {
	if len(o.held) < maxLine+2*o.hold {
		return
	}
	const tries, step = 200, 13
	for at := len(o.held) - o.hold; at > len(o.held)-o.hold-tries*step; at -= step {
		if !utf8.RuneStart(o.held[at]) || !o.mayCut(at) {
			continue
		}
		head, rest := o.held[:at], bytes.Clone(o.held[at:])
		o.held = nil
		o.line(head)
		if o.ring != nil {
			o.ring.write(rest)
			return
		}
		o.held = rest
		return
	}
	o.held, o.skips = nil, true
	o.line([]byte("[a long line full of secrets left out]"))
}

// mayCut reports whether no secret stands across a place of what is held.
func (o *output) mayCut(at int) bool {
	before, behind := string(o.held[at-o.hold:at]), string(o.held[at:at+o.hold])
	return o.redact(before+behind) == o.redact(before)+o.redact(behind)
}

// harmless is what is shown of a line: without secrets, in pieces that are not
// too long.
func (o *output) harmless(raw []byte) []string {
	text := o.redact(plain(o.redact(string(raw))))
	var pieces []string
	for len(text) > maxLine {
		piece := runner.CutText(text, maxLine)
		pieces = append(pieces, piece)
		text = text[len(piece):]
	}
	return append(pieces, text)
}

// plain is a line as a terminal would show it, without what the terminal would
// only act on: escape sequences, what a carriage return has overwritten.
func plain(s string) string {
	s = strings.TrimRight(s, "\r")
	s = s[strings.LastIndexByte(s, '\r')+1:]
	s = strings.ToValidUTF8(s, "\uFFFD")
	var b strings.Builder
	odd := false // a run of what cannot be shown is one character
	for i := 0; i < len(s); {
		if n := escape(s[i:]); n > 0 {
			i += n
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		i += n
		was := odd
		if odd = r == '\uFFFD' || r != '\t' && !unicode.IsPrint(r); !odd {
			b.WriteRune(r)
		} else if !was {
			b.WriteRune('\uFFFD')
		}
	}
	return b.String()
}

// escape is the length of the terminal's control sequence that s begins with
// (ECMA-48, 5.4), 0 when there is none.
func escape(s string) int {
	if !strings.HasPrefix(s, "\x1b[") {
		return 0
	}
	for i := 2; i < len(s) && i < 64; i++ {
		switch c := s[i]; {
		case c >= 0x40 && c <= 0x7e:
			return i + 1
		case c < 0x20 || c > 0x3f:
			return 0
		}
	}
	return 0
}

// say writes one line to the log, and keeps the last few.
func (o *output) say(text string) {
	o.log("| " + text)
	text = runner.CutText(text, lastSize/4)
	o.last = append(o.last, text)
	o.size += len(text) + 1
	for o.size > lastSize && len(o.last) > 1 {
		o.size -= len(o.last[0]) + 1
		o.last = o.last[1:]
	}
}

// end passes on what has been kept back.
func (o *output) end() {
	if o.ring == nil {
		if len(o.held) > 0 {
			line := o.held
			o.held = nil
			o.line(line)
		}
		if o.ring == nil {
			return
		}
	}
	kept, left := o.ring.bytes()
	if left > 0 {
		// It may begin with half a secret or half a character; behind that,
		// none may be cut.
		kept = []byte(o.redact(string(kept)))
		from := bytes.IndexByte(kept, '\n') + 1
		if from == 0 || from > maxLine {
			from = min(o.hold, len(kept))
			for from < len(kept) && !utf8.RuneStart(kept[from]) {
				from++
			}
		}
		left += int64(from)
		kept = kept[from:]
	}
	raws := bytes.Split(bytes.TrimSuffix(kept, []byte("\n")), []byte("\n"))
	var texts []string
	room := o.tail
	for i := len(raws) - 1; i >= 0; i-- {
		pieces := o.harmless(raws[i])
		cost := int64(0)
		for _, p := range pieces {
			cost += int64(len(p) + recordSize)
		}
		if cost > room {
			for _, raw := range raws[:i+1] {
				left += int64(len(raw) + 1)
			}
			break
		}
		room -= cost
		for k := len(pieces) - 1; k >= 0; k-- {
			texts = append(texts, pieces[k])
		}
	}
	if left > 0 {
		o.log(fmt.Sprintf("[%s of its output left out here: output sets how much is kept]", runner.FormatSize(left)))
	}
	for i := len(texts) - 1; i >= 0; i-- {
		o.say(texts[i])
	}
}

// lastLines are the last lines that were passed on.
func (o *output) lastLines() string { return strings.Join(o.last, "\n") }

// A ring keeps the last bytes that were written to it.
type ring struct {
	b    []byte
	at   int
	full bool
	all  int64
}

func newRing(size int) *ring { return &ring{b: make([]byte, size)} }

func (r *ring) write(p []byte) {
	r.all += int64(len(p))
	if over := len(p) - len(r.b); over > 0 {
		p = p[over:]
	}
	for len(p) > 0 {
		n := copy(r.b[r.at:], p)
		p = p[n:]
		if r.at += n; r.at == len(r.b) {
			r.at, r.full = 0, true
		}
	}
}

// bytes are what is kept, and how many there were before them.
func (r *ring) bytes() (kept []byte, left int64) {
	if !r.full {
		return r.b[:r.at], 0
	}
	kept = append(append(make([]byte, 0, len(r.b)), r.b[r.at:]...), r.b[:r.at]...)
	return kept, r.all - int64(len(kept))
}
