package volume

import "strings"

// parseBlkid reads what blkid -o export prints: NAME=value lines, in which a
// backslash stands before what a shell would not take.
func parseBlkid(out string, s *signature) {
	for line := range strings.Lines(out) {
		name, value, _ := strings.Cut(strings.TrimRight(line, "\n"), "=")
		value = unquote(value)
		switch name {
		case "TYPE":
			s.kind = value
		case "LABEL":
			s.label = value
		case "UUID":
			s.uuid = value
		case "PTTYPE":
			s.table = value
		}
	}
}

func unquote(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
