package command

import (
	"fmt"
	"strings"
	"testing"

	"mayfly/internal/secret"
)

// say lets an output take text in pieces of n bytes.
func say(o *output, text string, n int) {
	for text != "" {
		piece := text[:min(n, len(text))]
		text = text[len(piece):]
		_, _ = o.Write([]byte(piece)) // it never fails
	}
	o.end()
}

// Wherever a line is cut, and whatever falls out of the middle, no secret does
// so in part.
func TestOutputNeverCutsSecrets(t *testing.T) {
	t.Parallel()
	const plain = "0123456789abcdefghijklmnopqrstuvwxyz"
	r := new(secret.Redactor)
	if err := r.Add(secret.New(plain)); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"one line":   strings.Repeat(plain+"-filling-", 20_000),
		"only":       strings.Repeat(plain, 20_000),
		"lines":      strings.Repeat("a "+plain+" b\n", 20_000),
		"last":       strings.Repeat("x", 200_000) + plain,
		"long lines": strings.Repeat(strings.Repeat("y", 70_000)+plain+"\n", 40),
	} {
		for _, n := range []int{1 << 16, 4093, 37} {
			for _, limit := range []int64{16 << 10, 200 << 10, 4 << 20} {
				var b strings.Builder
				o := newOutput(limit, len(plain), r.Redact, func(line string) { b.WriteString(line + "\n") })
				say(o, text, n)
				all := strings.ReplaceAll(b.String(), "[secret]", "")
				for i := 0; i+8 <= len(plain); i++ {
					if strings.Contains(all, plain[i:i+8]) {
						t.Fatalf("%s in pieces of %d with %d: it shows %q", name, n, limit, plain[i:i+8])
					}
				}
				if int64(b.Len()) > limit+limit/4+4096 {
					t.Errorf("%s in pieces of %d with %d: %d bytes", name, n, limit, b.Len())
				}
				if b.Len() == 0 {
					t.Errorf("%s in pieces of %d with %d: nothing is shown", name, n, limit)
				}
			}
		}
	}
}

// Nor does one that is printed in digits: of it, up to three bytes at the ends
// of a line may be shown.
func TestOutputNeverCutsDumps(t *testing.T) {
	t.Parallel()
	const plain = "0123456789ghijklmnopqrstuvwxyz"
	r := new(secret.Redactor)
	if err := r.Add(secret.New(plain)); err != nil {
		t.Fatal(err)
	}
	for name, dump := range map[string]func(string) string{
		"hex":    func(s string) string { return fmt.Sprintf("% x", s) },
		"od -c":  func(s string) string { return strings.Join(strings.Split(s, ""), "   ") },
		"column": func(s string) string { return fmt.Sprintf("% x  |%s|", s, s[len(plain)/2:]) },
	} {
		for _, filling := range []string{"==", "==== a filling of some more bytes ===="} {
			text := dump(strings.Repeat(filling+plain, 3000))
			for _, n := range []int{1 << 16, 4093} {
				var b strings.Builder
				o := newOutput(8<<20, len(plain), r.Redact, func(line string) { b.WriteString(line + "\n") })
				say(o, text, n)
				for i := 0; i+4 <= len(plain); i++ {
					for _, piece := range []string{fmt.Sprintf("% x", plain[i:i+4]), strings.Join(strings.Split(plain[i:i+4], ""), "   "), plain[i : i+4]} {
						if strings.Contains(b.String(), piece) {
							t.Errorf("%s in pieces of %d: it shows %q", name, n, piece)
						}
					}
				}
				if !strings.Contains(b.String(), "[secret]") {
					t.Errorf("%s in pieces of %d: nothing is shown", name, n)
				}
			}
		}
	}
}

// The beginning and the end are there, and how much is missing between them.
func TestOutputMiddle(t *testing.T) {
	t.Parallel()
	var lines []string
	o := newOutput(16<<10, 0, func(s string) string { return s }, func(line string) { lines = append(lines, line) })
	var text strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&text, "line %d\n", i)
	}
	say(o, text.String(), 1000)
	if lines[0] != "| line 0" || lines[len(lines)-1] != "| line 9999" {
		t.Errorf("from %q to %q", lines[0], lines[len(lines)-1])
	}
	if all := strings.Join(lines, "\n"); strings.Count(all, "left out here") != 1 || strings.Contains(all, "line 5000") {
		t.Error("the middle is there, or is not said to be missing")
	}
	if last := strings.Split(o.lastLines(), "\n"); last[len(last)-1] != "line 9999" || len(o.lastLines()) > lastSize {
		t.Errorf("last lines: %d bytes, the last %q", len(o.lastLines()), last[len(last)-1])
	}
}

func FuzzPlain(f *testing.F) {
	for _, s := range []string{"a\x1b[31mb", "\x1b[", "\x1b]0;x\x07", "\r\r", "\xff\xfe", "a\u202eb", "x\ry\r"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := plain(s)
		if strings.ContainsAny(got, "\x1b\x07\r\x00\u009b") || len(got) > 3*len(s)+3 || plain(got) != got {
			t.Errorf("%q became %q", s, got)
		}
	})
}
