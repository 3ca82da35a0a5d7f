package strictyaml

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// A ref is a sensitive text type, like a reference to a secret.
type ref string

func (r *ref) UnmarshalText(b []byte) error {
	if !strings.HasPrefix(string(b), "env:") {
		return errors.New("not a reference: write env:NAME")
	}
	*r = ref(b)
	return nil
}
func (ref) Sensitive() {}

// A keep is text or a mapping.
type keep struct {
	Last int `yaml:"last" min:"1" max:"100"`
	text string
}

func (k *keep) UnmarshalText(b []byte) error {
	if string(b) != "all" {
		return errors.New(`unknown: write "all"`)
	}
	k.text = string(b)
	return nil
}

type inner struct {
	Owners []string        `yaml:"owners,required" example:"[octocat]"`
	Token  ref             `yaml:"token"`
	Wiki   *bool           `yaml:"wiki"`
	Hosts  map[string]host `yaml:"hosts"`
	Mode   string          `yaml:"mode" enum:"fast,safe"`
	Keep   keep            `yaml:"keep"`
	Price  float64         `yaml:"price" min:"0.5"`
	Size   int8            `yaml:"size"`
}

type host struct {
	Volume string `yaml:"volume,required"`
}

type work struct {
	Kind   string
	Config any
}

type entry struct {
	Name string `yaml:"name,required" example:"x"`
	work `yaml:"-"`
	Work work `yaml:",oneof"`
}

type top struct {
	Title   string  `yaml:"title,required"`
	Count   int     `yaml:"count"`
	Entries []entry `yaml:"entries"`
	Left    string
}

func kinds() Options {
	return Options{
		KindNames: []string{"box", "bag"},
		Kinds: func(k string) any {
			switch k {
			case "box":
				return new(inner)
			case "bag":
				return new(host)
			}
			return nil
		},
	}
}

func decode(src string) (top, error) {
	var v top
	err := Decode("f.yaml", []byte(src), &v, kinds()).Err()
	return v, err
}

func TestDecode(t *testing.T) {
	t.Parallel()
	got, err := decode("\ufeff# comment\r\n---\r\ntitle: 'a: b' # c\r\ncount: -3\r\nentries:\r\n" +
		"- name: |\r\n    x\r\n  box:\r\n    owners: [a, \"5\"]\r\n    token: env:T\r\n    wiki: false\r\n    mode: safe\r\n" +
		"    hosts: {c: {volume: v}}\r\n    keep: {last: 7}\r\n    price: 1\r\n    size: 127\r\n- {name: y, bag: {volume: w}}\r\n...\r\n")
	if err != nil {
		t.Fatal(err)
	}
	no := false
	want := top{Title: "a: b", Count: -3, Entries: []entry{
		{Name: "x\n", Work: work{"box", &inner{
			Owners: []string{"a", "5"}, Token: "env:T", Wiki: &no, Mode: "safe",
			Hosts: map[string]host{"c": {"v"}}, Keep: keep{Last: 7}, Price: 1, Size: 127,
		}}},
		{Name: "y", Work: work{"bag", &host{"w"}}},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestDecodeKeepsDefaults(t *testing.T) {
	t.Parallel()
	v := top{Title: "kept", Count: 5}
	doc := Decode("f", []byte("count: 6\ntitle: new\n"), &v, kinds())
	if err := doc.Err(); err != nil || v.Count != 6 || v.Title != "new" {
		t.Errorf("%+v, %v", v, err)
	}
	if v := (top{Count: 5}); Decode("f", []byte("title: t"), &v, kinds()).Err() != nil || v.Count != 5 {
		t.Errorf("the default is lost: %+v", v)
	}
}

// Each mistake as printed. One file may have many; all are there.
func TestMistakes(t *testing.T) {
	t.Parallel()
	box := "title: t\nentries:\n  - name: n\n    box:\n      owners: [o]\n"
	for _, c := range []struct{ name, src, want string }{
		{"unknown key", box + "      own: 1\n", `f.yaml:6:7: entries[0].box.own: unknown key
    6 |       own: 1
      |       ^ remove it; known here: owners, token, wiki, hosts, mode, keep, price, size`},
		{"key spelt almost right, not missing too", "titel: t\n", `f.yaml:1:1: titel: unknown key
    1 | titel: t
      | ^ did you mean "title"?`},
		{"kind spelt almost right", "title: t\nentries:\n  - name: n\n    bxo: {}\n", `f.yaml:4:5: entries[0].bxo: unknown key
    4 |     bxo: {}
      |     ^ did you mean "box"?`},
		{"key not indented below its kind", "title: t\nentries:\n  - name: n\n    box:\n    owners: [o]\n", `f.yaml:4:9: entries[0].box: no value
    4 |     box:
      |         ^ write one, or remove the key
f.yaml:5:5: entries[0].owners: unknown key
    5 |     owners: [o]
      |     ^ it belongs to box: indent it below that`},
		{"no space after the colon", "title:t\ncount: 1\n", `f.yaml:1:1: this is not a key and its value
    1 | title:t
      | ^ write "key: value", with a space after the colon`},
		{"missing", "entries: [{bag: {}}]\n", `f.yaml:1:1: title: missing
    1 | entries: [{bag: {}}]
      | ^ add title:
f.yaml:1:11: entries[0].name: missing
    1 | entries: [{bag: {}}]
      |           ^ add name: x
f.yaml:1:17: entries[0].bag.volume: missing
    1 | entries: [{bag: {}}]
      |                 ^ add volume:`},
		{"duplicate", "title: t\ncount: 1\ntitle: u\n", `f.yaml:3:1: title: duplicate key, first in line 1
    3 | title: u
      | ^ remove one of the two`},
		{"no kind", "title: t\nentries: [{name: n}]\n", `f.yaml:2:11: entries[0]: does not say what to do
    2 | entries: [{name: n}]
      |           ^ add one of: box, bag`},
		{"two kinds", box + "    bag: {volume: v}\n", `f.yaml:6:5: entries[0].bag: "box" stands here already
    6 |     bag: {volume: v}
      |     ^ keep one of the two; the other goes into an entry of its own`},
		{"types", "title: 5\ncount: many\nentries: {}\n", `f.yaml:1:8: title: must be text, is a number
    1 | title: 5
      |        ^ put it in quotes: "5"
f.yaml:2:8: count: must be a whole number, is text
    2 | count: many
      |        ^ write a whole number
f.yaml:3:10: entries: must be a list, is a mapping
    3 | entries: {}
      |          ^ begin each entry with a dash`},
		{"bool as text", box + "      wiki: yes\n", `f.yaml:6:13: entries[0].box.wiki: must be true or false, is text
    6 |       wiki: yes
      |             ^ write true or false, without quotes`},
		{"number as text", "title: t\ncount: \"4\"\n", `f.yaml:2:8: count: must be a whole number, is text
    2 | count: "4"
      |        ^ write it without quotes`},
		{"octal", "title: t\ncount: 010\n", `f.yaml:2:8: count: must be a whole number, is another kind of number
    2 | count: 010
      |        ^ write digits only, without a leading zero`},
		{"overflow", box + "      size: 128\n", `f.yaml:6:13: entries[0].box.size: the number is too large
    6 |       size: 128
      |             ^ write a smaller one`},
		{"bounds", box + "      price: 0.4\n      keep: {last: 101}\n", `f.yaml:6:14: entries[0].box.price: the number is too small
    6 |       price: 0.4
      |              ^ at least 0.5
f.yaml:7:20: entries[0].box.keep.last: the number is too large
    7 |       keep: {last: 101}
      |                    ^ at most 100`},
		{"infinity", box + "      price: .inf\n", `f.yaml:6:14: entries[0].box.price: must be a number, is one in another notation
    6 |       price: .inf
      |              ^ write it like 0.02`},
		{"enum", box + "      mode: saef\n", `f.yaml:6:13: entries[0].box.mode: is not one of fast, safe
    6 |       mode: saef
      |             ^ did you mean "safe"?`},
		{"one for a list", "title: t\nentries:\n- name: n\n  box: {owners: octocat}\n", `f.yaml:4:17: entries[0].box.owners: must be a list, is text
    4 |   box: {owners: octocat}
      |                 ^ write [octocat]`},
		{"one for a list, in quotes", "title: t\nentries:\n- name: n\n  box: {owners: '*.tmp'}\n", `f.yaml:4:17: entries[0].box.owners: must be a list, is text
    4 |   box: {owners: '*.tmp'}
      |                 ^ write ["*.tmp"]`},
		{"words for a list", "title: t\nentries:\n- name: n\n  box: {owners: ls -l}\n", `f.yaml:4:17: entries[0].box.owners: must be a list, is text
    4 |   box: {owners: ls -l}
      |                 ^ write it like [octocat]`},
		{"text with a colon in brackets", "title: t\nentries:\n- name: n\n  box: {owners: [s3:GetObject]}\n", `f.yaml:4:18: entries[0].box.owners[0]: must be text, is a mapping
    4 |   box: {owners: [s3:GetObject]}
      |                  ^ put the whole of it in quotes`},
		{"a mapping for text", "title: t\nentries:\n- name: n\n  box: {owners: [s3: GetObject]}\n", `f.yaml:4:18: entries[0].box.owners[0]: must be text, is a mapping
    4 |   box: {owners: [s3: GetObject]}
      |                  ^ write text`},
		{"empty list", "title: t\nentries:\n- name: n\n  box: {owners: []}\n", `f.yaml:4:17: entries[0].box.owners: is an empty list
    4 |   box: {owners: []}
      |                 ^ for example [octocat]`},
		{"text for a mapping", "title: t\nentries:\n- name: n\n  box: x\n", `f.yaml:4:8: entries[0].box: must be a mapping, is text
    4 |   box: x
      |        ^ write keys and values, indented, below it`},
		{"text type", box + "      keep: some\n", `f.yaml:6:13: entries[0].box.keep: unknown
    6 |       keep: some
      |             ^ write "all"`},
		{"no value", "title:\ncount: ~\nentries:\n  -\n", `f.yaml:1:7: title: no value
    1 | title:
      |       ^ write one, or remove the key
f.yaml:2:8: count: no value
    2 | count: ~
      |        ^ write one, or remove the key
f.yaml:4:4: entries[0]: no value
    4 |   -
      |    ^ write one, or remove the dash`},
		{"empty text", "title: ''\n", `f.yaml:1:8: title: is empty
    1 | title: ''
      |        ^ write a value, or remove the key`},
		{"anchor, alias, tag", "title: &a t\ncount: *a\nentries: !!seq []\n", `f.yaml:1:8: title: & begins an anchor, which is not supported
    1 | title: &a t
      |        ^ put text that begins with & in quotes
f.yaml:2:8: count: * begins an alias, which is not supported
    2 | count: *a
      |        ^ put text that begins with * in quotes
f.yaml:3:10: entries: ! begins a tag, which is not supported
    3 | entries: !!seq []
      |          ^ remove it, or put text that begins with ! in quotes`},
		{"merge key", "title: t\n<<: {count: 1}\n", `f.yaml:2:1: merge keys are not supported
    2 | <<: {count: 1}
      | ^ write the keys out`},
		{"key that is no text", "title: t\n5: x\n", `f.yaml:2:1: the key is a number, not text
    2 | 5: x
      | ^ put it in quotes`},
		{"complex key", "? title\n: t\n", `f.yaml:1:1: keys that begin with "?" are not supported
    1 | ? title
      | ^ write key: value
f.yaml:1:1: title: missing
    1 | ? title
      | ^ add title:`},
		{"list as document", "- a\n", `f.yaml:1:1: must be a mapping, is a list
    1 | - a
      | ^ write keys and values, indented, below it`},
		{"empty", "", `f.yaml: the file is empty: mayfly init writes a first one`},
		{"comments only", "# nothing\n", `f.yaml: the file is empty: mayfly init writes a first one`},
		{"header only", "---\n", `f.yaml: the file is empty: mayfly init writes a first one`},
		{"second document", "title: t\n---\ntitle: u\n", `f.yaml:2:1: a second document begins
    2 | ---
      | ^ one file holds one deployment: put this one into a file of its own`},
		{"second document, first empty", "---\n---\ntitle: u\n", `f.yaml:2:1: a second document begins
    2 | ---
      | ^ one file holds one deployment: put this one into a file of its own`},
		{"text after the end", "title: t\n...\ncount: 1\n", `f.yaml:3:1: a second document begins
    3 | count: 1
      | ^ one file holds one deployment: put this one into a file of its own`},
		{"directive", "%YAML 1.2\n---\ntitle: t\n", `f.yaml:1:1: directives are not supported
    1 | %YAML 1.2
      | ^ remove the line`},
		{"tab", "entries:\n\t- name: n\n", "f.yaml:2:2: a tab in the indentation\n    2 | \t- name: n\n      | \t^ indent with spaces"},
		{"caret under tabs", "title:\t\t5\n", "f.yaml:1:9: title: must be text, is a number\n    1 | title:\t\t5\n      |       \t\t^ put it in quotes: \"5\""},
		{"open bracket", "title: [a\ncount: 1\n", `f.yaml:2:1: the bracket is not closed
    2 | count: 1
      | ^ add "]" or a comma`},
		{"open quotes", "title: 'a\n", `f.yaml:1:8: the quotes are not closed
    1 | title: 'a
      |        ^ close them in the same line`},
		{"colon in text", "title: a: b\n", `f.yaml:1:8: a key is not expected here
    1 | title: a: b
      |        ^ indent keys of one mapping alike, and put text that holds ": " in quotes`},
		{"not UTF-8", "title: t\ncount: \xff\n", "f.yaml:2:8: a byte that is not UTF-8\n    2 | count: \uFFFD\n      |        ^ save the file as UTF-8"},
		{"UTF-16", "\xff\xfet\x00", `f.yaml: the file is UTF-16: save it as UTF-8`},
		{"control character", "title: a\x1b[31mb\n", "f.yaml:1:9: a control character\n    1 | title: a\uFFFD[31mb\n      |         ^ remove it"},
		{"escaped control character is not echoed", "title: t\n\"\\e[31m\": 1\n", "f.yaml:2:1: \uFFFD[31m: unknown key\n    2 | \"\\e[31m\": 1\n      | ^ remove it; known here: title, count, entries"},
		{"wide characters", "title: t\n\"日本\": 1\ncount: ü\n", `f.yaml:2:1: 日本: unknown key
    2 | "日本": 1
      | ^ remove it; known here: title, count, entries
f.yaml:3:8: count: must be a whole number, is text
    3 | count: ü
      |        ^ write a whole number`},
		{"long line", "title: {a: " + strings.Repeat("x", 200) + "}\n", `f.yaml:1:8: title: must be text, is a mapping
    1 | title: {a: ` + strings.Repeat("x", 89) + `…
      |        ^ write text`},
		{"too deep", "title: " + strings.Repeat("[", 65) + "\n", `f.yaml:1:72: nested too deeply
    1 | title: ` + strings.Repeat("[", 65) + `
      | ` + strings.Repeat(" ", 71) + `^ write it flatter`},
		{"far right in a long line", "title: t # " + strings.Repeat("x", 200) + "\ncount: {" + strings.Repeat(" ", 120) + "}\nentries: [{name: n, bag: {volume: " + strings.Repeat("v", 90) + "}}, 5]", `f.yaml:2:8: count: must be a whole number, is a mapping
    2 | count: {` + strings.Repeat(" ", 92) + `…
      |        ^ write a whole number
f.yaml:3:129: entries[1]: must be a mapping, is a number
    3 | …` + strings.Repeat("v", 46) + `}}, 5]
      | ` + strings.Repeat(" ", 51) + `^ write keys and values, indented, below it`},
		{"too large", "# " + strings.Repeat("x", MaxSize), fmt.Sprintf("f.yaml: the file has %d bytes: at most %d are read", MaxSize+2, MaxSize)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := decode(c.src)
			if err == nil {
				t.Fatal("no mistake was found")
			}
			if err.Error() != c.want {
				t.Errorf("got:\n%s\nwant:\n%s", err, c.want)
			}
		})
	}
}

// Mistakes found later are located too, and not reported twice.
func TestAdd(t *testing.T) {
	t.Parallel()
	var v top
	doc := Decode("f.yaml", []byte("title: t\ncount: x\nentries:\n  - name: n\n    box:\n      owners: [a, b]\n"), &v, kinds())
	doc.Add("entries[0].box.owners[1]", "unwanted", "remove it")
	doc.Add("entries[0].box.hosts.c.volume", "absent", "add it")
	doc.Add("count", "too small", "not shown: it could not be read")
	doc.Add("entries[7].name", "nowhere", "fix")
	doc.Add("", "all wrong", "start again")
	doc.Add("title", "odd", "fix")
	doc.Add("title", "very odd", "fix")
	want := `f.yaml:1:8: title: odd
    1 | title: t
      |        ^ fix
f.yaml:1:8: title: very odd
    1 | title: t
      |        ^ fix
f.yaml:2:8: count: must be a whole number, is text
    2 | count: x
      |        ^ write a whole number
f.yaml:3:1: entries[7].name: nowhere
    3 | entries:
      | ^ fix
f.yaml:5:5: entries[0].box.hosts.c.volume: absent
    5 |     box:
      |     ^ add it
f.yaml:6:19: entries[0].box.owners[1]: unwanted
    6 |       owners: [a, b]
      |                   ^ remove it`
	if err := doc.Err(); err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
}

// Thousands of mistakes are one mistake made thousands of times.
func TestMistakesAreBounded(t *testing.T) {
	t.Parallel()
	_, err := decode("title: t\n" + strings.Repeat("title: t\n", 1234))
	lines := strings.Split(errText(err), "\n")
	if want := "f.yaml: 1034 more mistakes: correct these first"; lines[len(lines)-1] != want || len(lines) != 3*maxMistakes+1 {
		t.Errorf("%d lines, the last is %q", len(lines), lines[len(lines)-1])
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// A secret pasted where a reference belongs is never echoed, however wrong the
// rest is.
func TestMistakesHideSecrets(t *testing.T) {
	t.Parallel()
	const s = "hunter2-hunter2-hunter2"
	in := func(text string) string {
		return "title: t\nentries:\n  - name: n\n    box:\n      owners: [o]\n" + text
	}
	for name, src := range map[string]string{
		"plain":               in("      token: " + s + "\n"),
		"quoted":              in("      token: \"" + s + "\" # " + s + "\n"),
		"next line":           in("      token:\n        " + s + "\n"),
		"block":               in("      token: |\n        " + s + "\n        " + s + "\n"),
		"flow":                "title: t\nentries: [{name: n, box: {owners: [o], token: " + s + ", wiki: " + s + "}}]\n",
		"list":                in("      token: [" + s + "]\n"),
		"mapping":             in("      token: {" + s + ": " + s + "}\n"),
		"anchor":              in("      token: &a " + s + "\n"),
		"tag":                 in("      token: !!str " + s + "\n"),
		"duplicate":           in("      token: env:T\n      token: " + s + "\n"),
		"key almost right":    in("      tokn: " + s + "\n"),
		"key of another name": in("      github_token: " + s + "\n"),
		"password":            in("      password: " + s + "\n"),
		"wrong level":         "title: t\ntoken: " + s + "\n",
		"behind a tab":        in("      token:\t\t" + s + "\n"),
		"syntax":              in("      token: " + s + ": x\n"),
		"syntax, next line":   in("      token:\n        " + s + ": x: y\n"),
		"open quotes":         in("      token: '" + s + "\n"),
		"tab":                 in("\ttoken: " + s + "\n"),
		"not UTF-8":           in("      token: " + s + "\xff\n"),
		"address":             in("      ulr: https://x:" + s + "@host/\n"),
		"address, slash":      in("      ulr: 'https://x:" + s + "/" + s + "@host/' # y\n"),
		"user of an address":  in("      ulr: https://" + s + "@host/\n"),
		"query of an address": in("      ulr: https://host/?key=" + s + "\n"),
		"fragment":            in("      ulr: 'https://host#" + s + "'\n"),
		"second document":     "title: t\n--- # token: " + s + "\n",
	} {
		_, err := decode(src)
		if err == nil {
			t.Errorf("%s: no mistake was found", name)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: shown:\n%s", name, err)
		}
	}
	// What is no secret is shown, or nobody could find the mistake.
	_, err := decode(in("      token: env:T\n      token: env:U\n"))
	if err == nil || !strings.Contains(err.Error(), "token: env:U") {
		t.Errorf("a reference is hidden: %v", err)
	}
}

// Hostile input costs bounded time and never a panic.
func TestDecodeSurvivesHostileInput(t *testing.T) {
	t.Parallel()
	for name, src := range map[string]string{
		"brackets":  "title: " + strings.Repeat("[", MaxSize/4),
		"braces":    strings.Repeat("{a: ", MaxSize/16),
		"dashes":    strings.Repeat("- ", MaxSize/8),
		"questions": strings.Repeat("? ", MaxSize/8),
		"indents": func() (s string) {
			var b strings.Builder
			for i := range 700 {
				b.WriteString(strings.Repeat(" ", i) + "a:\n")
			}
			return b.String()
		}(),
		"laughs":     "a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nd: &d [*c,*c]\n",
		"many keys":  strings.Repeat("k: v\n", 3000),
		"tags":       "title: " + strings.Repeat("!!str ", 9000) + "x",
		"anchors":    "title: " + strings.Repeat("&a ", 9000) + "x",
		"colons":     strings.Repeat(":", 50000),
		"long":       "title: \"" + strings.Repeat("x", MaxSize-100) + "\"\nx: y\n",
		"long quote": "title: '" + strings.Repeat("\n", 100000),
	} {
		if _, err := decode(src); err == nil {
			t.Errorf("%s: no mistake was found", name)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{"title: t\n", "a: [b, {c: d}]\n---\n", "? a\n: *b\n", "title: |\n x\n", "\t", "%Y\n---\na: 1", "a: 'x", "- !!x &y z"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		var v top
		doc := Decode("f", src, &v, kinds())
		doc.Add("title", "x", "y")
		if doc.Err() == nil {
			t.Error("the added mistake is lost")
		}
		_ = doc.Err().Error()
	})
}
