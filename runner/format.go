package runner

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// FormatDuration prints a time span in the one or two units that matter: "0 s",
// "41 s", "3 min 20 s", "1 h 5 min", "8 d", "8 d 3 h".
func FormatDuration(d time.Duration) string {
	d = max(d, 0)
	two := func(a int64, au string, b int64, bu string) string {
		if b == 0 {
			return fmt.Sprintf("%d %s", a, au)
		}
		return fmt.Sprintf("%d %s %d %s", a, au, b, bu)
	}
	s := int64(d.Round(time.Second) / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return two(s/60, "min", s%60, "s")
	case s < 86400:
		return two(s/3600, "h", s%3600/60, "min")
	case s < 10*86400:
		return two(s/86400, "d", s%86400/3600, "h")
	default:
		return fmt.Sprintf("%d d", s/86400)
	}
}

// FormatSize prints bytes in powers of 1000, as disks and networks are sold:
// "512 B", "1.2 MB".
func FormatSize(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", max(n, 0))
	}
	f, units := float64(n), "kMGTPE"
	for i := 0; ; i++ {
		f /= 1000
		if f < 999.95 || i == len(units)-1 {
			return fmt.Sprintf("%.1f %cB", f, units[i])
		}
	}
}

// FormatCount prints a number of units given in the plural: "42 repositories",
// "1 repository".
func FormatCount(n int, unit string) string {
	if n == 1 {
		if s, ok := strings.CutSuffix(unit, "ies"); ok {
			unit = s + "y"
		} else {
			unit = strings.TrimSuffix(unit, "s")
		}
	}
	return fmt.Sprintf("%d %s", n, unit)
}

// OneLine makes outside text one printable line of at most limit bytes. What a
// mail reader or a terminal could act on is replaced, and invalid UTF-8 too.
func OneLine(s string, limit int) string {
	s = CutText(s, 8*limit) // no work for what is cut off anyway
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ")
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
	if len(s) <= limit {
		return s
	}
	return CutText(s, limit-len("...")) + "..."
}

// CutText returns the longest prefix of s of at most limit bytes that does not
// split a character.
func CutText(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	limit = max(limit, 0)
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// ascii replaces everything but printable ASCII.
func ascii(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

// names lists at most limit names: "a, b and 3 more".
func names(list []string, limit int) string {
	shown := make([]string, 0, limit)
	for _, n := range list[:min(len(list), limit)] {
		shown = append(shown, OneLine(n, 120))
	}
	s := strings.Join(shown, ", ")
	if more := len(list) - len(shown); more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}
