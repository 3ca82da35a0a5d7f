package archive

import (
	"archive/zip"
	"bufio"
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"mayfly/internal/gitref"
	"mayfly/internal/store"
)

// FuzzBundleHead: what is read of a bundle's header, written again, is the
// header; and the reader stands at the pack.
func FuzzBundleHead(f *testing.F) {
	for _, s := range []string{
		bundleMagic + "\n", bundleMagic + oidA + " HEAD\n" + oidA + " refs/heads/main\n\nPACK",
		bundleMagic + "-" + oidA + " a commit\n" + oidA + " refs/tags/v1\n\nPACK", "# v3 git bundle\n@object-format=sha256\n\n",
		bundleMagic + oidA + " refs/heads/../x\n\n", bundleMagic + oidA + " refs/heads/a\r\n\n", bundleMagic + strings.Repeat("x", 9000),
		bundleMagic + oidA + "\n\n", bundleMagic + strings.Repeat("0", 40) + " refs/heads/a\n\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		in := bufio.NewReader(bytes.NewReader(b))
		h, err := readBundleHead(in)
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := h.write(&out); err != nil {
			t.Fatal(err)
		}
		again, err := readBundleHead(bufio.NewReader(bytes.NewReader(out.Bytes())))
		if err != nil || !reflect.DeepEqual(h, again) {
			t.Fatalf("%+v was written as %q and read as %+v, %v", h, out.Bytes(), again, err)
		}
		rest := make([]byte, len(b))
		n, _ := in.Read(rest)
		if !bytes.HasSuffix(b, rest[:n]) || n > 0 && b[len(b)-n-1] != '\n' {
			t.Fatalf("the header of %q ends before %q", b, rest[:n])
		}
	})
}

// FuzzRefs: what is read of refs.json, written again, is read the same.
func FuzzRefs(f *testing.F) {
	part := func(kind string) []byte {
		var b bytes.Buffer
		s := Snapshot{Head: symbolic("refs/heads/main")}
		s.Refs = append(s.Refs, ref("refs/heads/main", oidA), ref("refs/heads/\xff\"<", oidB))
		c := &Changes{Head: s.Head, Set: s.Refs}
		if kind == KindIncr {
			c = new(changesOf(&Snapshot{Refs: s.Refs[:1]}, Snapshot{Head: ref("HEAD", oidB), Refs: s.Refs[1:]}))
		}
		m := &Manifest{Format: 1, Kind: kind, Digest: s.Digest(), Parts: Parts{Repo: PartInfo{Digest: s.Digest()}}}
		if err := writeRefs(&b, m, c, nil); err != nil {
			f.Fatal(err)
		}
		return b.Bytes()
	}
	f.Add(part(KindFull))
	f.Add(part(KindIncr))
	for _, s := range []string{"", "{", "null", "[]", `{"format":1}`, `{"format":2,"x":1}`, `{"format":1,"kind":"full","repo":{"refs":[null]}}`,
		`{"format":1,"kind":"full","repo":{"refs":[{"oid":"x"}]}}`, strings.Repeat(`{"repo":`, 5000), `{"format":1e99}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := readRefs(bytes.NewReader(b))
		if err != nil {
			return
		}
		m := &Manifest{Format: r.Format, Kind: r.Kind, Selection: r.Selection, Digest: r.Digest}
		said := func(p *refsPart, info *PartInfo) *Changes {
			if p == nil {
				return nil
			}
			info.Digest = p.Digest
			for _, ref := range p.Set {
				if err := gitref.CheckName(ref.Name().String()); err != nil {
					t.Fatal(err)
				}
			}
			return &p.Changes
		}
		var out bytes.Buffer
		if err := writeRefs(&out, m, said(r.Repo, &m.Parts.Repo), said(r.Wiki, &m.Parts.Wiki)); err != nil {
			t.Fatal(err)
		}
		again, err := readRefs(bytes.NewReader(out.Bytes()))
		if err != nil {
			t.Fatalf("%q was written as %q, which is refused: %v", b, out.Bytes(), err)
		}
		var twice bytes.Buffer
		m2 := &Manifest{Format: again.Format, Kind: again.Kind, Selection: again.Selection, Digest: again.Digest}
		if err := writeRefs(&twice, m2, said(again.Repo, &m2.Parts.Repo), said(again.Wiki, &m2.Parts.Wiki)); err != nil || !bytes.Equal(out.Bytes(), twice.Bytes()) {
			t.Fatalf("%q\nand then\n%q, %v", out.Bytes(), twice.Bytes(), err)
		}
	})
}

// FuzzIndex: what is read of an index, written again, is read the same.
func FuzzIndex(f *testing.F) {
	x := &Index{entries: map[string]summary{}}
	f.Add(x.text())
	for n, name := range []string{"acme/a", "acme/b", "me/c"} {
		x.Set(name, summaryOf(n))
	}
	f.Add(x.text())
	f.Add([]byte(indexHead + "{}\n" + indexEnd(nil)))
	f.Add([]byte(`{"format":9,"repositories":[` + "\n"))
	f.Add([]byte(`{"format":1,"repositories":[` + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, err := parseIndex(bytes.NewReader(b))
		if err != nil {
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer) && !errors.Is(err, errOlder) {
				t.Fatalf("%v is neither damage nor another format", err)
			}
			return
		}
		y := &Index{entries: entries}
		again, err := parseIndex(bytes.NewReader(y.text()))
		if err != nil || !reflect.DeepEqual(entries, again) {
			t.Fatalf("%v was read again as %v, %v", entries, again, err)
		}
	})
}

// FuzzSegment: no bytes make the reader panic, or fail otherwise than by saying
// that the segment is damaged or newer; and what passes verify is what is
// written.
func FuzzSegment(f *testing.F) {
	m, segs := small(f)
	for _, s := range segs[:2] {
		b := m.objects[s.Key]
		f.Add(b, s.Key)
		f.Add(b[:len(b)-1], s.Key)
		f.Add(b[len(b)/2:], s.Key)
	}
	for name, b := range hostile(f, m.objects[segs[1].Key]) {
		f.Add(b, segs[1].Key)
		_ = name
	}
	f.Fuzz(func(t *testing.T, b []byte, key string) {
		one := &memory{m.Store, map[string][]byte{key: b}}
		r, err := openSegment(t.Context(), one, "github", one.object(key))
		if err == nil {
			_, err = r.refs()
		}
		if err == nil {
			err = r.verify()
		}
		if err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer) {
			t.Fatalf("%v is neither damage nor a newer format", err)
		}
	})
}

// hostile are zips that try to be taken for segments.
func hostile(tb testing.TB, good []byte) map[string][]byte {
	tb.Helper()
	made := map[string][]byte{}
	for _, name := range []string{
		"../evil", "/etc/passwd", `a\b`, `..\evil`, "C:evil", "CON", "aux.txt", "REPO.BUNDLE", "repo.bundle/x", "metadata/../x.json",
		"metadata/.json", "metadata/a/b.json", "refs.json\x00", "re\u0301fs.json", "repo.bundle ", "repo.bundle.", "metadata/", "",
	} {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write([]byte("x"))
		}
		if err == nil || strings.HasSuffix(name, "/") {
			err = z.Close()
		}
		if err != nil {
			tb.Fatal(err)
		}
		made["an entry "+name] = b.Bytes()
	}
	twice := func(names ...string) []byte {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		for _, n := range names {
			w, err := z.Create(n)
			if err == nil {
				_, err = w.Write([]byte("{}"))
			}
			if err != nil {
				tb.Fatal(err)
			}
		}
		if err := z.Close(); err != nil {
			tb.Fatal(err)
		}
		return b.Bytes()
	}
	made["two entries of a name"] = twice("refs.json", "refs.json")
	made["no manifest"] = twice("refs.json")
	var bomb bytes.Buffer
	z := zip.NewWriter(&bomb)
	w, err := z.Create("refs.json")
	if err == nil {
		_, err = w.Write(make([]byte, 8<<20))
	}
	if err = errors.Join(err, z.Close()); err != nil {
		tb.Fatal(err)
	}
	made["a bomb"] = bomb.Bytes()
	many := make([]string, 100)
	for i := range many {
		many[i] = "metadata/m" + strings.Repeat("x", i) + ".json"
	}
	made["many entries"] = twice(many...)
	made["no zip"] = []byte("PK")
	made["a manifest that is not one"] = reseal(tb, good, func(_ map[string][]byte, m *Manifest) { m.Host = "" })
	return made
}

// Nothing that only looks like a segment is let in, and the message says why.
func TestHostileSegments(t *testing.T) {
	t.Parallel()
	m, segs := small(t)
	key := segs[1].Key
	for name, b := range hostile(t, m.objects[key]) {
		one := &memory{m.Store, map[string][]byte{key: b}}
		_, err := openSegment(t.Context(), one, "github", one.object(key))
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "0001-incr.zip") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// FuzzKey: a key is what Key makes of what ParseKey says.
func FuzzKey(f *testing.F) {
	f.Add(Key("github", "acme", "site", created, 0, false))
	f.Add(Key("", "acme", "site", created, 12, true))
	f.Add("github/acme/site/20261120T170412Z/1-incr.zip")
	f.Add("a//b/20261120T170412Z/0000-full.zip")
	f.Fuzz(func(t *testing.T, key string) {
		prefix, p, ok := SplitKey(key)
		if !ok {
			return
		}
		if got := Key(prefix, p.Owner, p.Name, p.Full, p.Number, p.Incr); got != key || store.CheckKey(strings.TrimPrefix(key, below(prefix))) != nil {
			t.Fatalf("%q is taken for %q", key, got)
		}
	})
}
