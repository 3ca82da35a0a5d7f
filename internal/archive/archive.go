// Package archive writes segments, one immutable zip of one repository from one
// run each, and reads them again. A segment is also read back with unzip and
// git alone.
//
// A full segment holds, in this order:
//
//	repo.bundle        git bundle v2: every selected ref, every object
//	wiki.bundle        the same of the wiki, where there is one
//	metadata/*.json    what GitHub's API says about the repository
//	refs.json          HEAD's target and the refs, and their digests
//	RESTORE.txt        the exact commands that give the repository back
//	manifest.json      what this is, and size and SHA-256 of all the others
//
// An increment holds what came since the segment before it, which its manifest
// names as its parent: a bundle only where there are new objects, the changes
// in refs.json, and these as commands for git:
//
//	repo.update-ref    for git update-ref --stdin, after unbundling
//	wiki.update-ref    the same of the wiki
//
// A full segment and the increments on it are a chain. Each of its segments is
// a point in time that can be restored.
//
// The manifest comes last, beside zip's central directory: one short ranged
// read of the tail of a segment tells all about it.
//
// # Digests
//
// The digest of one part (repo or wiki) is the SHA-256 of a line for HEAD and
// one line for each ref, sorted by name. With stock git:
//
//	{ echo "ref: $(git symbolic-ref HEAD) HEAD"; git show-ref; } | sha256sum
//
// The first line is "OID HEAD" when HEAD is detached, and is left out when
// the server did not name HEAD's target. The digest of a whole segment is the
// SHA-256 of the lines
//
//	selection JSON
//	repo DIGEST
//	wiki DIGEST
//
// where JSON is the selection as in refs.json without spaces, and DIGEST is
// the word absent for a part that is not in the segment.
package archive

import "time"

// A Part is one of the git repositories that a segment holds.
type Part string

// The parts. Every segment has a Repo.
const (
	Repo Part = "repo"
	Wiki Part = "wiki"
)

// bundle names the entry that holds the part's refs and objects.
func (p Part) bundle() string { return string(p) + ".bundle" }

// commands names the entry that holds an increment's changes for git.
func (p Part) commands() string { return string(p) + ".update-ref" }

// An Identity says which repository a segment is of. The numeric ID stays the
// same when a repository is renamed, and differs when a name is reused.
type Identity struct {
	Host        string // "github.com"
	ID          int64
	Owner, Name string
}

// Selection is what was asked for, whether or not it was there.
type Selection struct {
	Pull bool `json:"pull"` // refs/pull
	Wiki bool `json:"wiki"`
}

// Options are the facts about a segment that its git data does not tell.
type Options struct {
	Identity  Identity
	Created   time.Time // also the modification time of every entry
	RunID     string
	Version   string // of mayfly
	Selection Selection
}
