package volume

import "strings"

// A Copy is a volume that was made of a snapshot, to be read.
type Copy struct {
	Volume string
	Name   string // what its attachment calls the device
	Point  string // where to mount it
	// UUID is that of the file system which the host's own volume has now, ""
	// unknown: it says which is meant where a copy holds several.
	UUID string
}

// choose finds the file system of a copy: the one with the UUID, or else the
// only one.
func choose(f facts, uuid string) (signature, bool) {
	var found []signature
	for _, s := range f.signatures() {
		if !adoptable(s.kind) || s.ambiguous {
			continue
		}
		if uuid != "" && strings.EqualFold(s.uuid, uuid) {
			return s, true
		}
		found = append(found, s)
	}
	if len(found) != 1 {
		return signature{}, false
	}
	return found[0], true
}
