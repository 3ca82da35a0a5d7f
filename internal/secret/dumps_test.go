package secret

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

// Whatever stands before it, of a secret in a dump at most three bytes at the
// ends of a line are left.
func TestRedactorHidesDumps(t *testing.T) {
	t.Parallel()
	const s = "s3cr3t-T0k3n/of some+Length~0123456789"
	r := known(t, s)
	each := func(verb, sep string) func(string) []string {
		return func(text string) []string {
			var list []string
			for i := range len(text) {
				list = append(list, fmt.Sprintf(verb, text[i]))
			}
			return []string{strings.Join(list, sep)}
		}
	}
	lines := func(size int, line func(off int, b string) string) func(string) []string {
		return func(text string) (list []string) {
			for i := 0; i < len(text); i += size {
				list = append(list, line(i, text[i:min(i+size, len(text))]))
			}
			return list
		}
	}
	words := func(b string, swap bool) string {
		var out strings.Builder
		for i := 0; i < len(b); i += 2 {
			w := b[i:min(i+2, len(b))]
			if swap && len(w) == 2 {
				w = w[1:] + w[:1]
			}
			fmt.Fprintf(&out, " %x", w)
		}
		return out.String()
	}
	for name, dump := range map[string]func(string) []string{
		"hex with spaces": each("%02x", " "), "hex with colons": each("%02X", ":"), "xxd -i": each("0x%02x", ", "), "escapes": each(`\x%02x`, ""),
		"percent": each("%%%02x", ""), "octal escapes": each(`\%03o`, ""), "od -c": each("%c", "   "), "od -b": each("%03o", " "), "entities": each("&#x%02x;", ""),
		"xxd":           lines(16, func(off int, b string) string { return fmt.Sprintf("%08x:%s  %s", off, words(b, false), b) }),
		"od -x":         lines(16, func(off int, b string) string { return fmt.Sprintf("%07o%s", off, words(b, true)) }),
		"hexdump":       lines(16, func(off int, b string) string { return fmt.Sprintf("%08x  % x  |%s|", off, b, b) }),
		"xxd -p":        lines(30, func(_ int, b string) string { return hex.EncodeToString([]byte(b)) }),
		"base64":        func(text string) []string { return fold(base64.StdEncoding.EncodeToString([]byte(text)), 76) },
		"base64 20":     func(text string) []string { return fold(base64.StdEncoding.EncodeToString([]byte(text)), 20) },
		"utf-16le":      func(text string) []string { return []string{string(utf16Bytes(text, binary.LittleEndian))} },
		"utf-16be":      func(text string) []string { return []string{string(utf16Bytes(text, binary.BigEndian))} },
		"utf-16 in hex": func(text string) []string { return []string{fmt.Sprintf("% x", utf16Bytes(text, binary.LittleEndian))} },
		"utf-16 in base64": func(text string) []string {
			return fold(base64.StdEncoding.EncodeToString(utf16Bytes(text, binary.LittleEndian)), 76)
		},
	} {
		for shift := range 17 {
			pad := strings.Repeat("=", shift)
			for _, line := range dump(pad + s + "==") {
				got := r.Redact(line)
				if len(line) > 50 && !strings.Contains(got, redacted) && strings.Count(line, "3d") < 8 {
					t.Errorf("%s, %d before: %q became %q", name, shift, line, got)
				}
				for i := 0; i+5 <= len(s); i++ {
					for _, piece := range dump(s[i : i+5]) {
						if len(piece) > 4 && strings.Contains(got, piece) {
							t.Fatalf("%s, %d before: %q became %q", name, shift, line, got)
						}
					}
				}
			}
		}
	}
}

func fold(s string, width int) (list []string) {
	for len(s) > width {
		list, s = append(list, s[:width]), s[width:]
	}
	return append(list, s)
}

// What holds no secret stays as it is.
func TestRedactorLeavesDumpsAlone(t *testing.T) {
	t.Parallel()
	r := known(t, "s3cr3t-T0k3n/of some+Length~0123456789")
	for _, text := range []string{
		"commit 5f0c9f1c2b7d4e3a9d8c7b6a5f4e3d2c1b0a9f8e", "some Length of 0123 tokens", "00000010: 6a6b 6c6d 6e6f 7071  jklmnopq", "/usr/local/lib/python3", "d r w x r - x", `C:\new\table`, `\`, "0x", "a 0", "",
	} {
		if got := r.Redact(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func BenchmarkRedact(b *testing.B) {
	r := new(Redactor)
	if err := r.Add(New("ghp_0123456789abcdefABCDEF0123456789abcd")); err != nil {
		b.Fatal(err)
	}
	line := strings.Repeat("2026-11-20T17:04:12Z INFO copied /srv/data/reports/2026/november.pdf 1048576 bytes 5f0c9f1c2b7d\n", 1000)
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		r.Redact(line)
	}
}
