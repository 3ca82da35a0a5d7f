package archive

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/go-git/go-git/v5/plumbing"
)

// restoreText is RESTORE.txt: what somebody with git and no mayfly types to
// get the repository back as of this very segment. Every line that is indented
// by four spaces is a command, and all of them in order, fed to sh, do the
// whole.
func (w *Writer) restoreText() string {
	var b strings.Builder
	m := &w.m
	fmt.Fprintf(&b, "%s/%s of %s, as of %s.\nWritten by mayfly %s in run %s.\n\n", m.Owner, m.Name, m.Host, m.Created.UTC().Format(time.RFC1123), m.Mayfly, m.Run)
	if w.chain == nil {
		b.WriteString(`This archive gives the repository back with unzip and git alone. Unzip it into
an empty folder, go there, and type the indented lines, all of them, in order.
`)
	} else {
		w.gather(&b)
	}
	w.restorePart(&b, "The repository", Repo, w.repo, m.Name+".git")
	if w.wiki != nil {
		w.restorePart(&b, "Its wiki", Wiki, w.wiki, m.Name+".wiki.git")
		if m.Parts.Wiki.Why != "" {
			fmt.Fprintf(&b, "\nThe wiki is no newer than the archive before this one: %s.\n", m.Parts.Wiki.Why)
		}
	} else {
		fmt.Fprintf(&b, "\nThe wiki is not in this archive: %s.\n", m.Parts.Wiki.Why)
	}
	dir := gitDir(m.Name + ".git")
	fmt.Fprintf(&b, `
What you have now is a bare repository: all branches, tags, notes and other
refs. For a folder to work in, 'git clone %s'. To put it on a server,
create an empty repository there and 'git -C %s push --mirror URL'.

refs.json lists %s, manifest.json the SHA-256 of every file.
`, dir, dir, map[bool]string{true: "every ref", false: "what became of the refs"}[w.chain == nil])
	return b.String()
}

// gather says which archives an increment needs, and unpacks them.
func (w *Writer) gather(b *strings.Builder) {
	stems := w.stems()
	fmt.Fprintf(b, `This archive is an increment: it holds what has changed since the one before
it. With unzip and git (2.27 or newer) the repository comes back from these
archives of the folder that this one is from:
%s.
Put them into one empty folder, go there, and type the indented lines, all of
them, in order.

    for n in %s; do unzip -q -o "$n.zip" -d "$n"; done
`, wrapped(stems), strings.Join(stems, " "))
}

// stems are the file names of the chain, this segment's included, without
// their endings.
func (w *Writer) stems() []string {
	var stems []string
	for _, s := range w.chain.Segments {
		stems = append(stems, strings.TrimSuffix(path.Base(s.Key), ".zip"))
	}
	return append(stems, strings.TrimSuffix(path.Base(w.key), ".zip"))
}

// wrapped is a list of file names in lines of at most 78 characters.
func wrapped(stems []string) string {
	var b strings.Builder
	wide := 0
	for i, s := range stems {
		s += ".zip"
		switch {
		case i == 0:
		case wide+len(s)+2 > 78:
			b.WriteString(",\n")
			wide = 0
		default:
			b.WriteString(", ")
			wide += 2
		}
		b.WriteString(s)
		wide += len(s)
	}
	return b.String()
}

func (w *Writer) restorePart(b *strings.Builder, title string, which Part, p *part, dir string) {
	dir = gitDir(dir)
	fmt.Fprintf(b, "\n%s, into %s", title, dir)
	if len(p.Refs) == 0 && (p.Head == nil || p.Head.Type() == plumbing.SymbolicReference) {
		b.WriteString(" (it was empty)")
	}
	b.WriteString(":\n\n")
	from, base := "", w.m.Entries
	if w.chain != nil {
		from, base = w.stems()[0]+"/", w.chain.Segments[0].Manifest.Entries
	}
	if slices.ContainsFunc(base, func(e Entry) bool { return e.Name == which.bundle() }) {
		fmt.Fprintf(b, "    git clone --mirror %s%s %s\n", from, which.bundle(), dir)
	} else {
		fmt.Fprintf(b, "    git init --bare %s\n", dir)
	}
	if w.chain != nil {
		fmt.Fprintf(b, `    for n in %s; do
      if [ -e $n/%[2]s ]; then git --git-dir=%[4]s bundle unbundle $n/%[2]s; fi
      if [ -e $n/%[3]s ]; then git --git-dir=%[4]s update-ref --stdin <$n/%[3]s; fi
    done
`, strings.Join(w.stems()[1:], " "), which.bundle(), which.commands(), dir)
	}
	switch {
	case p.Head == nil: // as git guesses
	case p.Head.Type() == plumbing.SymbolicReference:
		fmt.Fprintf(b, "    git --git-dir=%s symbolic-ref HEAD %s\n", dir, shellQuote(p.Head.Target().String()))
	default:
		fmt.Fprintf(b, "    git --git-dir=%s update-ref --no-deref HEAD %s\n", dir, p.Head.Hash())
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

// printable makes one line of printable text.
func printable(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
}
