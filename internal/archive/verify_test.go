package archive

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"

	"mayfly/internal/gittest"
	"mayfly/internal/store"
)

// A memory is a store of a few objects that are changed at will.
type memory struct {
	store.Store
	objects map[string][]byte
}

func (m *memory) Open(_ context.Context, key string, off, n int64) (io.ReadCloser, store.Object, error) {
	b, ok := m.objects[key]
	if !ok {
		return nil, store.Object{}, store.ErrNotExist
	}
	if n < 0 {
		n = int64(len(b)) - off
	}
	return io.NopCloser(bytes.NewReader(b[off : off+n])), m.object(key), nil
}

func (m *memory) object(key string) store.Object {
	b := m.objects[key]
	return store.Object{Key: key, Size: int64(len(b)), ETag: store.ETag(fmt.Sprint(crc32.ChecksumIEEE(b))), Modified: created}
}

// small is a chain of three segments, in memory, with the states of its refs.
func small(t testing.TB) (*memory, []Segment) {
	t.Helper()
	st := newStore(t)
	dir, wiki := repo(t, gittest.Normal), repo(t, gittest.Wiki)
	segs := []Segment{backUp(t, st, created, dir, wiki)}
	for i := range 3 {
		git(t, dir, "update-ref", "refs/heads/main", git(t, dir, "commit-tree", "-p", "main", "-m", fmt.Sprint(i), "main^{tree}"))
		segs = append(segs, backUp(t, st, created.AddDate(0, 0, i+1), dir, wiki))
	}
	m := &memory{Store: st, objects: map[string][]byte{}}
	for _, s := range segs {
		m.objects[s.Key] = object(t, st, s.Key)
	}
	return m, segs
}

// verifyAll verifies the chain of these keys, as they are listed.
func (m *memory) verifyAll(segs []Segment) error {
	var listed []store.Object
	for _, s := range segs {
		if _, ok := m.objects[s.Key]; ok {
			listed = append(listed, m.object(s.Key))
		}
	}
	return errors.Join(verifyChain(context.Background(), m, "github", Folder{Objects: listed}, nil, nil).Problems...)
}

func TestVerifyFinds(t *testing.T) {
	t.Parallel()
	m, segs := small(t)
	if err := m.verifyAll(segs); err != nil {
		t.Fatal(err)
	}
	swap := func(a, b int) func(map[string][]byte) {
		return func(o map[string][]byte) { o[segs[a].Key], o[segs[b].Key] = o[segs[b].Key], o[segs[a].Key] }
	}
	for _, c := range []struct {
		name  string
		spoil func(map[string][]byte)
		says  string
	}{
		{"nothing", func(map[string][]byte) {}, ""},
		{"cut", func(o map[string][]byte) { o[segs[1].Key] = o[segs[1].Key][:2000] }, "0001-incr.zip"},
		{"cut by one byte", func(o map[string][]byte) { b := o[segs[1].Key]; o[segs[1].Key] = b[:len(b)-1] }, "0001-incr.zip"},
		{"empty", func(o map[string][]byte) { o[segs[1].Key] = nil }, "0001-incr.zip"},
		{"longer", func(o map[string][]byte) { o[segs[1].Key] = append(bytes.Clone(o[segs[1].Key]), 0) }, "0001-incr.zip"},
		{"missing in the middle", func(o map[string][]byte) { delete(o, segs[1].Key) }, "segment 1 of its chain is missing"},
		{"the full one is missing", func(o map[string][]byte) { delete(o, segs[0].Key) }, "segment 0 of its chain is missing"},
		{"swapped", swap(1, 2), "0001-incr.zip"},
		{"full for an increment", swap(0, 1), "0000-full.zip"},
		{"another's content", func(o map[string][]byte) { o[segs[2].Key] = o[segs[1].Key] }, "0002-incr.zip: it is damaged: its parent is"},
		{"wrong refs.json", func(o map[string][]byte) {
			o[segs[1].Key] = reseal(t, o[segs[1].Key], func(files map[string][]byte, m *Manifest) {
				files["refs.json"] = bytes.Replace(files["refs.json"], []byte("refs/heads/main"), []byte("refs/heads/mian"), 1)
			})
		}, "0001-incr.zip: it is damaged: the refs of the repo have the digest"},
		{"refs.json and digests of another state", func(o map[string][]byte) {
			o[segs[3].Key] = reseal(t, o[segs[3].Key], func(files map[string][]byte, m *Manifest) {
				s := Snapshot{Refs: []*plumbing.Reference{ref("refs/heads/main", oidA)}}
				old := m.Parts.Repo.Digest
				m.Parts.Repo.Digest, m.Parts.Repo.Refs = s.Digest(), 1
				was := m.Digest
				m.Digest = stateDigest(m.Selection, m.Parts.Repo.Digest, m.Parts.Wiki.Digest)
				files["refs.json"] = []byte(strings.NewReplacer(old, s.Digest(), was, m.Digest).Replace(string(files["refs.json"])))
			})
		}, "the refs of the repo have the digest"},
		{"a bundle of other refs", func(o map[string][]byte) {
			o[segs[3].Key] = reseal(t, o[segs[3].Key], func(files map[string][]byte, m *Manifest) {
				files["repo.bundle"] = bytes.Replace(files["repo.bundle"], []byte("refs/heads/main"), []byte("refs/heads/mian"), 1)
			})
		}, "repo.bundle has refs/heads/mian"},
		{"a bundle on strangers", func(o map[string][]byte) {
			o[segs[3].Key] = reseal(t, o[segs[3].Key], func(files map[string][]byte, m *Manifest) {
				b := files["repo.bundle"]
				at := bytes.IndexByte(b, '-')
				copy(b[at+1:], oidA)
			})
		}, "which no segment before holds"},
		{"forked", func(o map[string][]byte) {
			o[segs[2].Key] = reseal(t, o[segs[2].Key], func(_ map[string][]byte, m *Manifest) {
				m.Parent = &Parent{Key: segs[0].Key, Size: int64(len(o[segs[0].Key])), ManifestSHA256: m.Parent.ManifestSHA256}
			})
		}, "the chain forks"},
		{"on another parent", func(o map[string][]byte) {
			o[segs[2].Key] = reseal(t, o[segs[2].Key], func(_ map[string][]byte, m *Manifest) { m.Parent.Size++ })
		}, "is not the one that it was made from"},
		{"another repository", func(o map[string][]byte) {
			o[segs[2].Key] = reseal(t, o[segs[2].Key], func(_ map[string][]byte, m *Manifest) { m.RepositoryID++ })
		}, "of another repository"},
		{"a newer one", func(o map[string][]byte) {
			o[segs[2].Key] = reseal(t, o[segs[2].Key], func(_ map[string][]byte, m *Manifest) { m.Format++ })
		}, "a newer mayfly wrote it"},
		{"objects that are not there", func(o map[string][]byte) {
			o[segs[3].Key] = reseal(t, o[segs[3].Key], func(_ map[string][]byte, m *Manifest) {
				for i := range m.Entries {
					if m.Entries[i].Objects > 0 {
						m.Entries[i].Objects++
					}
				}
			})
		}, "objects, and the manifest says"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			bad := &memory{m.Store, map[string][]byte{}}
			for k, v := range m.objects {
				bad.objects[k] = v
			}
			c.spoil(bad.objects)
			err := bad.verifyAll(segs)
			if c.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("verify says %v, want %q in it", err, c.says)
			}
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer) {
				t.Errorf("%v is neither damage nor a newer format", err)
			}
		})
	}
}

// Not one byte of a segment can change without verify finding it.
func TestVerifyFindsEveryFlippedByte(t *testing.T) {
	t.Parallel()
	m, segs := small(t)
	for _, s := range []Segment{segs[0], segs[2]} {
		good := m.objects[s.Key]
		step := 1
		if s.Manifest.Kind == KindFull {
			step = 5 // most of it is the bundle
		}
		for i := 0; i < len(good); i += step {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << (i % 8)
			one := &memory{m.Store, map[string][]byte{s.Key: bad}}
			r, err := openSegment(t.Context(), one, "github", one.object(s.Key))
			if err == nil {
				err = r.verify()
			}
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer) {
				t.Fatalf("%s with byte %d of %d flipped: %v", filepath.Base(s.Key), i, len(good), err)
			}
		}
	}
}

// reseal makes a segment anew with other content, all checksums fitting.
func reseal(t testing.TB, b []byte, change func(map[string][]byte, *Manifest)) []byte {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, f := range z.File {
		files[f.Name] = readEntry(t, f)
	}
	var m Manifest
	if err := json.Unmarshal(files[manifestName], &m); err != nil {
		t.Fatal(err)
	}
	change(files, &m)
	var out bytes.Buffer
	zw := &zipWriter{w: &out, created: m.Created}
	add := func(name string, content []byte) Entry {
		e, err := zw.add(name, func(w io.Writer) error { _, err := w.Write(content); return err })
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	for i, e := range m.Entries {
		n := add(e.Name, files[e.Name])
		n.Objects = e.Objects
		m.Entries[i] = n
	}
	text, err := json.MarshalIndent(&m, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	add(manifestName, append(text, '\n'))
	if err := zw.close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
