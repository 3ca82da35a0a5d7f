package archive

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
)

const (
	oidA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	oidB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

func ref(name, oid string) *plumbing.Reference {
	return plumbing.NewHashReference(plumbing.ReferenceName(name), plumbing.NewHash(oid))
}

func symbolic(target string) *plumbing.Reference {
	return plumbing.NewSymbolicReference(plumbing.HEAD, plumbing.ReferenceName(target))
}

func TestDigest(t *testing.T) {
	t.Parallel()
	refs := []*plumbing.Reference{ref("refs/heads/main", oidA), ref("refs/tags/v1", oidB)}
	lines := oidA + " refs/heads/main\n" + oidB + " refs/tags/v1\n"
	seen := make(map[string]string)
	for _, c := range []struct {
		name, lines string
		s           Snapshot
	}{
		{"symbolic", "ref: refs/heads/main HEAD\n" + lines, Snapshot{symbolic("refs/heads/main"), refs}},
		{"unborn", "ref: refs/heads/x HEAD\n" + lines, Snapshot{symbolic("refs/heads/x"), refs}},
		{"detached", oidA + " HEAD\n" + lines, Snapshot{ref("HEAD", oidA), refs}},
		{"unknown", lines, Snapshot{nil, refs}},
		{"nothing", "", Snapshot{}},
	} {
		sum := sha256.Sum256([]byte(c.lines))
		want := "sha256:" + hex.EncodeToString(sum[:])
		if got := c.s.Digest(); got != want {
			t.Errorf("%s: digest %s, want %s", c.name, got, want)
		}
		if other, ok := seen[want]; ok {
			t.Errorf("%s and %s have the same digest", c.name, other)
		}
		seen[want] = c.name
	}
}

func TestStateDigest(t *testing.T) {
	t.Parallel()
	sum := sha256.Sum256([]byte("selection {\"pull\":false,\"wiki\":true}\nrepo sha256:1\nwiki absent\n"))
	if got, want := stateDigest(Selection{Wiki: true}, "sha256:1", ""), "sha256:"+hex.EncodeToString(sum[:]); got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
}

func TestSnapshotCheck(t *testing.T) {
	t.Parallel()
	main := ref("refs/heads/main", oidA)
	for _, c := range []struct {
		name string
		s    Snapshot
		want string // in the error; "" accepts
	}{
		{"plain", Snapshot{symbolic("refs/heads/main"), []*plumbing.Reference{main}}, ""},
		{"sorted as bytes", Snapshot{nil, []*plumbing.Reference{ref("refs/heads/a-b", oidA), ref("refs/heads/a/b", oidA), ref("refs/heads/aa", oidA)}}, ""},
		{"file and directory", Snapshot{nil, []*plumbing.Reference{ref("refs/heads/a", oidA), ref("refs/heads/a-b", oidA), ref("refs/heads/a/b", oidA)}}, "cannot both be"},
		{"file and directory apart", Snapshot{nil, []*plumbing.Reference{ref("refs/heads/a", oidA), ref("refs/heads/a-b", oidA), ref("refs/heads/a/b/c", oidA)}}, "cannot both be"},
		{"alike", Snapshot{nil, []*plumbing.Reference{ref("refs/heads/a", oidA), ref("refs/heads/ab", oidA), ref("refs/heads/b/a", oidA)}}, ""},
		{"unsorted", Snapshot{nil, []*plumbing.Reference{ref("refs/tags/v1", oidA), main}}, "sorted"},
		{"twice", Snapshot{nil, []*plumbing.Reference{main, main}}, "sorted"},
		{"no object", Snapshot{nil, []*plumbing.Reference{ref("refs/heads/main", "")}}, "names no object"},
		{"symbolic ref", Snapshot{nil, []*plumbing.Reference{plumbing.NewSymbolicReference("refs/heads/x", "refs/heads/main")}}, "names no object"},
		{"HEAD among the refs", Snapshot{nil, []*plumbing.Reference{ref("HEAD", oidA)}}, "not a name"},
		{"line in a name", Snapshot{nil, []*plumbing.Reference{ref("refs/heads/x\n"+oidB+" refs/heads/evil", oidA)}}, "not a name"},
		{"command in HEAD", Snapshot{symbolic("refs/heads/x\n    rm -rf ~"), nil}, "target of HEAD"},
		{"HEAD elsewhere", Snapshot{symbolic("../../etc/passwd"), nil}, "target of HEAD"},
		{"HEAD without object", Snapshot{ref("HEAD", ""), nil}, "HEAD names no object"},
	} {
		err := c.s.check()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
}
