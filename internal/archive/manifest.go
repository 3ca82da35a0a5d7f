package archive

import (
	"time"

	"mayfly/internal/store"
)

// Format is the version of refs.json and manifest.json. A reader refuses a
// higher one.
const Format = 1

// Kinds of segment, as in the key and the manifest.
const (
	KindFull = "full"
	KindIncr = "incr"
)

// A Manifest is manifest.json.
type Manifest struct {
	Format       int       `json:"format"`
	Kind         string    `json:"kind"`
	Host         string    `json:"host"`
	RepositoryID int64     `json:"repository_id"`
	Owner        string    `json:"owner"`
	Name         string    `json:"name"`
	Created      time.Time `json:"created"`
	Run          string    `json:"run"`
	Mayfly       string    `json:"mayfly"` // version
	Parent       *Parent   `json:"parent"` // null in a full segment
	Selection    Selection `json:"selection"`
	Digest       string    `json:"digest"` // of selection, refs and HEADs
	Parts        Parts     `json:"parts"`
	Entries      []Entry   `json:"entries"` // all but the manifest itself
}

// A Parent names the segment that an increment goes on from.
type Parent struct {
	Key            string `json:"key"`
	Size           int64  `json:"size"`
	ManifestSHA256 string `json:"manifest_sha256"`
}

// Parts tells of each part whether it is in the segment.
type Parts struct {
	Repo PartInfo `json:"repo"`
	Wiki PartInfo `json:"wiki"`
}

// PartInfo is what became of one part.
type PartInfo struct {
	State   State  `json:"state"`
	Why     string `json:"why,omitempty"` // why it is absent, or no newer
	Digest  string `json:"digest,omitempty"`
	Refs    int    `json:"refs"`
	Objects uint32 `json:"objects"` // in this segment
}

// State of a part.
type State string

// The states. An empty part has no object, but HEAD may have a target.
const (
	Present State = "present"
	Empty   State = "empty"
	Absent  State = "absent"
)

// An Entry is one file in the segment. Size is before compression.
type Entry struct {
	Name    string `json:"name"`
	Size    int64  `json:"size"`
	SHA256  string `json:"sha256"`
	Objects uint32 `json:"objects,omitempty"` // in a bundle's pack
}

// A Segment is one that was committed.
type Segment struct {
	Key      string
	Object   store.Object
	Manifest Manifest
}

// of is what the manifest says of one part.
func (p *Parts) of(part Part) *PartInfo {
	if part == Wiki {
		return &p.Wiki
	}
	return &p.Repo
}
