package secret

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// forms are all the texts in which plain may stand: as it is, escaped for
// JSON, Go, shells and URLs, in hex, and in base64 together with whatever
// comes before and after it.
func forms(plain string) []string {
	out := []string{
		plain,
		url.QueryEscape(plain),
		url.PathEscape(plain),
		lowerEscapes(url.QueryEscape(plain)),
		lowerEscapes(url.PathEscape(plain)),
		percent(plain, "%%%02X"),
		percent(plain, "%%%02x"),
		(&url.URL{User: url.User(plain)}).User.String(),
		strings.ReplaceAll(url.QueryEscape(plain), "+", "%20"),
		unquoted(strconv.Quote(plain)),
		unquoted(strconv.QuoteToASCII(plain)),
		strings.ReplaceAll(plain, "'", `'\''`),
		hex.EncodeToString([]byte(plain)),
		strings.ToUpper(hex.EncodeToString([]byte(plain))),
	}
	for _, escapeHTML := range []bool{true, false} {
		out = append(out, jsonEscaped(plain, escapeHTML))
	}
	out = append(out, base64Forms(plain)...)
	return append(out, base64Forms(url.QueryEscape(plain))...)
}

// base64Forms are what base64 makes of plain at each of the three places it
// can have within a group of three bytes, whatever its neighbours are: the
// outermost digits, which depend on these, are left out.
func base64Forms(plain string) []string {
	var out []string
	n := len(plain)
	for shift := range 3 {
		b := append(make([]byte, shift), plain...)
		first := (8*shift + 5) / 6 // first digit made of plain's bits alone
		last := 8 * (shift + n) / 6
		if last-first < minLength {
			continue
		}
		std := base64.RawStdEncoding.EncodeToString(b)[first:last]
		urlSafe := base64.RawURLEncoding.EncodeToString(b)[first:last]
		out = append(out, std, urlSafe, url.QueryEscape(std), lowerEscapes(url.QueryEscape(std)))
	}
	return out
}

func percent(s, verb string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, verb, s[i])
	}
	return b.String()
}

// lowerEscapes writes %2F as %2f and leaves everything else.
func lowerEscapes(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:i+3], strings.ToLower(string(b[i+1:i+3])))
		}
	}
	return string(b)
}

func jsonEscaped(s string, escapeHTML bool) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(escapeHTML)
	if err := e.Encode(s); err != nil {
		return s // no string is refused
	}
	return unquoted(strings.TrimSuffix(b.String(), "\n"))
}

func unquoted(s string) string { return s[1 : len(s)-1] }
