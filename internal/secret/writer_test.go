package secret

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

// A very long line comes out as it would in one, whatever a secret in it is
// spelled as and wherever it is cut; and in bounded memory.
func TestWriterCutsNoDump(t *testing.T) {
	t.Parallel()
	const s = "s3cr3t-T0k3n/of some+Length~0123456789"
	r := known(t, s)
	each := func(verb, sep string) func(string) string {
		return func(text string) string {
			var list []string
			for i := range len(text) {
				list = append(list, fmt.Sprintf(verb, text[i]))
			}
			return strings.Join(list, sep)
		}
	}
	for name, dump := range map[string]func(string) string{
		"plain": func(s string) string { return s }, "hex": func(s string) string { return hex.EncodeToString([]byte(s)) },
		"hex with spaces": each("%02x", " "), "xxd -i": each("0x%02x", ", "), "octal": each("%03o", "             "), "od -c": each("%c", "   "),
		"escapes": each(`\x%02x`, ""), "entities": each("&#x%02x;", ""), "base64": func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
		// The column beside the digits comes long after them, and begins with
		// the end of a secret.
		"column": func(text string) string { return hex.EncodeToString([]byte(text)) + " |" + text[11:] + "|" },
	} {
		for _, filling := range []string{"==", "== a filling of some bytes =="} {
			text := dump(strings.Repeat(filling+s, 160_000/len(filling+s))) + "\n" + dump(s) + "\nplain T0k3n"
			want := r.Redact(text)
			for _, size := range []int{4093, 70_001} {
				var out bytes.Buffer
				w := r.Writer(&out)
				for p := text; p != ""; {
					n := min(len(p), size)
					if _, err := w.Write([]byte(p[:n])); err != nil {
						t.Fatal(err)
					}
					p = p[n:]
					if len(w.held) > maxHeld+4*w.around()+size {
						t.Fatalf("%s: holds %d bytes", name, len(w.held))
					}
				}
				if err := w.Flush(); err != nil {
					t.Fatal(err)
				}
				if got := out.String(); got != want {
					at := 0
					for at < min(len(got), len(want)) && got[at] == want[at] {
						at++
					}
					t.Errorf("%s, %d bytes at once, filling %q: %d bytes, not %d; at %d %q, not %q", name, size, filling, len(got), len(want), at, got[max(at-40, 0):min(at+40, len(got))], want[max(at-40, 0):min(at+40, len(want))])
				}
			}
		}
	}
}

// Digits or letters that are far from each other are no dump; how far is what
// bounds what a Writer keeps.
func TestRedactorPiecesAreBounded(t *testing.T) {
	t.Parallel()
	r := known(t, "s3cr3t-T0k3n")
	for _, text := range []string{"73" + strings.Repeat(" ", 40) + "336372", "730x0x0x0x336372", "s" + strings.Repeat(" ", 40) + "3 c r"} {
		if got := r.Redact(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
	for _, text := range []string{`"0x73", "0x33", "0x63", "0x72"`, "0X730X330x63 0x72", "s" + strings.Repeat(" ", maxBlank) + "3 c r"} {
		if got := r.Redact(text); !strings.Contains(got, redacted) {
			t.Errorf("%q is shown", text)
		}
	}
}

// A long line costs about what as many short ones do.
func BenchmarkWriterLongLine(b *testing.B) {
	r := new(Redactor)
	if err := r.Add(New("ghp_0123456789abcdefABCDEF0123456789abcd")); err != nil {
		b.Fatal(err)
	}
	w := r.Writer(&bytes.Buffer{})
	piece := []byte(strings.Repeat("copied /srv/data/reports/2026/november.pdf 1048576 bytes 5f0c9f1c2b7d ", 400))
	b.SetBytes(int64(len(piece)))
	for b.Loop() {
		w.w.(*bytes.Buffer).Reset()
		if _, err := w.Write(piece); err != nil {
			b.Fatal(err)
		}
	}
}
