package archive

import (
	"fmt"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// restoreText is RESTORE.txt: what somebody with git and no mayfly types to
// get this very segment back. Every line that is indented by four spaces is a
// command, and all of them in order, fed to sh, do the whole.
func restoreText(m *Manifest, repo, wiki *Snapshot) string {
	var b strings.Builder
	fmt.Fprintf(&b, `%s/%s of %s, as of %s.
Written by mayfly %s in run %s.

This archive gives the repository back with unzip and git alone. Unzip it into
an empty folder, go there, and type the indented lines, all of them, in order.
`, m.Owner, m.Name, m.Host, m.Created.UTC().Format(time.RFC1123), m.Mayfly, m.Run)
	restorePart(&b, "The repository", Repo, m.Name+".git", repo)
	if wiki != nil {
		restorePart(&b, "Its wiki", Wiki, m.Name+".wiki.git", wiki)
	} else {
		fmt.Fprintf(&b, "\nThe wiki is not in this archive: %s.\n", m.Parts.Wiki.Why)
	}
	dir := gitDir(m.Name + ".git")
	fmt.Fprintf(&b, `
What you have now is a bare repository: all branches, tags, notes and other
refs. For a folder to work in, 'git clone %s'. To put it on a server,
create an empty repository there and 'git -C %s push --mirror URL'.

refs.json lists every ref, manifest.json the SHA-256 of every file.
`, dir, dir)
	return b.String()
}

func restorePart(b *strings.Builder, title string, part Part, dir string, s *Snapshot) {
	dir = gitDir(dir)
	fmt.Fprintf(b, "\n%s, into %s", title, dir)
	if len(s.Refs) == 0 && (s.Head == nil || s.Head.Type() == plumbing.SymbolicReference) {
		fmt.Fprintf(b, " (it was empty):\n\n    git init --bare %s\n", dir)
	} else {
		fmt.Fprintf(b, ":\n\n    git clone --mirror %s %s\n", part.bundle(), dir)
	}
	switch {
	case s.Head == nil: // as git guesses
	case s.Head.Type() == plumbing.SymbolicReference:
		fmt.Fprintf(b, "    git --git-dir=%s symbolic-ref HEAD %s\n", dir, shellQuote(s.Head.Target().String()))
	default:
		fmt.Fprintf(b, "    git --git-dir=%s update-ref --no-deref HEAD %s\n", dir, s.Head.Hash())
	}
	fmt.Fprintf(b, "    git --git-dir=%s fsck --full\n", dir)
}

// gitDir spells a folder so that git cannot take it for an option.
func gitDir(dir string) string {
	if strings.HasPrefix(dir, "-") {
		return "./" + dir
	}
	return dir
}

// shellQuote spells s as one word of sh.
func shellQuote(s string) string {
	plain := func(r rune) bool { return r != '/' && notInName(r) }
	if s != "" && !strings.ContainsFunc(s, plain) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
