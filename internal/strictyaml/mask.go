package strictyaml

import (
	"reflect"
	"regexp"
	"strings"
)

const hidden = "[secret]"

// A masker takes values that may be secrets out of lines to be shown. People
// paste a token where a reference belongs, under a key spelt almost right, in
// a line that does not parse: all of these are covered, so it goes by the
// names of keys as well as by types.
type masker struct {
	names  map[string]bool // keys under which sensitive text belongs
	key    *regexp.Regexp
	redact func(string) string
	strict bool // also hide whatever looks random
}

// random is what keys and tokens look like, and little else does.
var random = regexp.MustCompile(`[A-Za-z0-9_+/=.-]{20,}`)

// userinfo is a name and password in an address. A password may have anything
// in it, so it reaches to the last @ of the word.
var userinfo = regexp.MustCompile(`://\S*@`)

// query is what follows the path of an address: tokens stand there too.
var query = regexp.MustCompile(`(://[^\s?#"']*[?#])[^\s"']+`)

func newMasker(root reflect.Type, o Options) masker {
	names := map[string]bool{}
	seen := map[reflect.Type]bool{}
	sensitiveKeys(root, names, seen)
	for _, k := range o.KindNames {
		if v := o.Kinds(k); v != nil {
			sensitiveKeys(reflect.TypeOf(v), names, seen)
		}
	}
	alternatives := []string{"token", "secret", "passw", "credential", "api_?key", "private"}
	for n := range names {
		alternatives = append(alternatives, regexp.QuoteMeta(n))
	}
	return masker{
		names: names,
		// A word with one of these in it, a colon, and all that follows.
		key:    regexp.MustCompile(`(?i)((?:^|[\s{,"'-])[\w-]*(?:` + strings.Join(alternatives, "|") + `)[\w-]*["']?\s*:\s*)(\S.*)`),
		redact: o.Redact,
	}
}

// sensitiveKeys collects the keys under which sensitive text belongs.
func sensitiveKeys(t reflect.Type, names map[string]bool, seen map[reflect.Type]bool) {
	t = element(t)
	if t.Kind() != reflect.Struct || seen[t] {
		return
	}
	seen[t] = true
	for _, f := range fields(t) {
		ft := element(t.Field(f.index).Type)
		if sensitive(ft) {
			names[f.name] = true
		} else {
			sensitiveKeys(ft, names, seen)
		}
	}
}

// text is for what quotes the document outside of a line.
func (m masker) text(s string) string {
	if m.redact == nil {
		return s
	}
	return m.redact(s)
}

// line returns the line as it may be shown.
func (m masker) line(line string, at place) string {
	if at.sensitive {
		if r := []rune(line); at.column >= 1 && at.column <= len(r) {
			line = string(r[:at.column-1]) + hidden
		}
	}
	if r := []rune(line); at.hideValue && at.column >= 1 && at.column <= len(r) {
		if colon := strings.IndexByte(string(r[at.column-1:]), ':'); colon >= 0 {
			key := string(r[at.column-1:])[:colon+1]
			line = string(r[:at.column-1]) + key + " " + hidden
		}
	}
	line = userinfo.ReplaceAllString(m.text(line), "://"+hidden+"@")
	line = query.ReplaceAllString(line, "${1}"+hidden)
	if m.strict {
		line = random.ReplaceAllString(line, hidden)
	}
	if parts := m.key.FindStringSubmatchIndex(line); parts != nil {
		if value := line[parts[4]:parts[5]]; !reference.MatchString(value) && !plainScalar.MatchString(value) {
			line = line[:parts[4]] + hidden
		}
	}
	return line
}

// reference is what belongs under such keys, and may be shown.
var reference = regexp.MustCompile(`^["']?(?:ssm|secretsmanager|env|file):[\w/.@:-]*["']?\s*(?:[,}#].*)?$`)

// plainScalar is too little to be a secret: "private: false".
var plainScalar = regexp.MustCompile(`^(?:true|false|yes|no|[0-9]{1,9}|[\[{|>~&*])\s*(?:[,}#].*)?$`)
