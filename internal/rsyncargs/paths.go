package rsyncargs

import (
	"path"
	"slices"
	"strings"
)

// maxPath is Linux's PATH_MAX, less what the directory in the jail adds.
const maxPath = 4000

// paths takes what stands behind the dot: the destination of a push, or what a
// pull reads.
func (r *reader) paths(words []word) error {
	if r.Push && len(words) > 1 {
		return refusef("a push has one destination, and not %d: escape spaces with a backslash (rsync before 3.2.4 does not do it)", len(words))
	}
	for _, w := range words {
		name, err := r.relative(w.text, w.tilde)
		if err != nil {
			return err
		}
		p := Path{Name: name}
		if w.pattern != "" && !r.Push && strings.ContainsAny(w.pattern, "*?[") {
			if p.Pattern, err = r.relative(w.pattern, w.tilde); err != nil {
				return err
			}
		}
		r.Paths = append(r.Paths, p)
	}
	if len(r.Paths) == 0 {
		r.Paths = []Path{{Name: "."}}
	}
	return nil
}

// relative makes a path relative to the host's directory.
func (r *reader) relative(p string, tilde bool) (string, error) {
	given := p
	if err := plain(given); err != nil {
		return "", err
	}
	if tilde {
		if p != "~" && !strings.HasPrefix(p, "~/") {
			return "", refusef("%s is another user's directory: there are none here", clip(given))
		}
		p = strings.TrimLeft(p[1:], "/")
	}
	if strings.HasPrefix(p, "/") {
		rest, below := below(p, r.policy.Root)
		if !below {
			return "", refusef("%s is outside of the host's directory: %s", clip(given), r.advice())
		}
		p = rest
	}
	if slices.Contains(strings.Split(p, "/"), "..") {
		return "", refusef("%s leads through '..': %s", clip(given), r.advice())
	}
	// rsync sends what is in "a/", but "a" itself for "a"; "/./" is where -R
	// cuts, so this is no path.Clean.
	slash := strings.HasSuffix(p, "/")
	var parts []string
	for part := range strings.SplitSeq(p, "/") {
		if part != "" {
			parts = append(parts, part)
		}
	}
	if len(parts) == 0 {
		return ".", nil
	}
	p = strings.Join(parts, "/")
	if slash {
		p += "/"
	}
	return p, nil
}

func (r *reader) advice() string {
	if r.policy.Root == "" {
		return "paths are relative to it, as HOST:etc"
	}
	return "paths are relative to it, as HOST:etc, or begin with " + r.policy.Root + "/"
}

// below cuts root off p, if p is root or below it.
func below(p, root string) (rest string, ok bool) {
	root = strings.TrimRight(root, "/")
	if root == "" {
		return "", false
	}
	p = "/" + strings.TrimLeft(p, "/")
	if p == root {
		return "", true
	}
	rest, ok = strings.CutPrefix(p, root+"/")
	return strings.TrimLeft(rest, "/"), ok
}

// plain refuses what no path may hold.
func plain(p string) error {
	if strings.ContainsAny(p, "\x00\n\r") {
		return refusef("a path on the command line holds a NUL or a newline")
	}
	if len(p) > maxPath {
		return refusef("a path on the command line has %d bytes: at most %d are taken", len(p), maxPath)
	}
	return nil
}

// optionPath is the value for an option with a path. rsync reads relative ones
// from the destination on, so that --link-dest=../monday is what people write:
// that is taken as long as it stays inside.
func (r *reader) optionPath(o option) (string, error) {
	p := o.path
	if err := plain(p); err != nil {
		return "", err
	}
	if p == "" {
		return "", refusef("--%s has an empty path", o.name)
	}
	if strings.HasPrefix(p, "/") {
		rest, ok := below(p, r.policy.Root)
		if !ok || slices.Contains(strings.Split(rest, "/"), "..") {
			return "", refusef("--%s %s is outside of the host's directory: %s", o.name, clip(p), r.advice())
		}
		return path.Join(r.policy.Dir, rest), nil
	}
	to := r.Paths[0].Name
	if full := path.Join(to, p); full == ".." || strings.HasPrefix(full, "../") {
		return "", refusef("--%s %s is outside of the host's directory, seen from the destination %s", o.name, clip(p), clip(to))
	}
	return path.Clean(p), nil
}
