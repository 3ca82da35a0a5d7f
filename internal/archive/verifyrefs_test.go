package archive

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"mayfly/internal/gittest"
	"mayfly/internal/store"
)

// notes are what a verification, a deep one, says of acme/site.
func notes(t *testing.T, st store.Store) []error {
	t.Helper()
	deep := func(Part, int64) (Builder, func(), error) { return newGitBuilder(t), func() {}, nil }
	all, _, err := Verify(t.Context(), st, Repository{Prefix: "github", Owner: "acme", Name: "site"}, nil, deep, nil)
	if err != nil {
		t.Fatal(err)
	}
	var problems []error
	for _, c := range all {
		problems = append(problems, c.Problems...)
	}
	return problems
}

// appended is the next segment of acme/site, for a part of which write has to
// write what it likes.
func appended(t *testing.T, st store.Store, s Snapshot, write func(w *Writer, p *part) error) {
	t.Helper()
	o := testOptions()
	o.Created = created.Add(time.Hour)
	w, err := Append(t.Context(), st, open(t, st), o)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	p, err := w.begin(Repo, s)
	if err == nil {
		err = write(w, p)
	}
	if err == nil {
		_, err = w.Commit()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// What a person restores by is what mayfly restores by.
func TestVerifyCommands(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(w *Writer, p *part) error{
		"":        func(w *Writer, p *part) error { return w.commands(Repo, p) },
		"missing": func(*Writer, *part) error { return nil },
		"others": func(w *Writer, _ *part) error {
			return w.entry(Repo.commands(), func(e io.Writer) error {
				_, err := io.WriteString(e, "start\ndelete refs/heads/main\ncommit\nstart\ncommit\n")
				return err
			})
		},
		"of a part that has not changed": func(w *Writer, p *part) error {
			return errors.Join(w.commands(Repo, p), w.entry(Wiki.commands(), p.changes.commands))
		},
	} {
		st := newStore(t)
		dir := repo(t, gittest.Normal)
		backUp(t, st, created, dir, "")
		git(t, dir, "update-ref", "refs/heads/new", "main")
		appended(t, st, snapshot(t, dir), write)
		problems := notes(t, st)
		if name == "" && len(problems) > 0 || name != "" && (len(problems) != 1 || !errors.Is(problems[0], ErrDamaged) || !strings.Contains(problems[0].Error(), ".update-ref")) {
			t.Errorf("commands %s: %v", name, problems)
		}
	}
}

// Refs without any pack are refs of nothing.
func TestVerifyRefsWithoutPacks(t *testing.T) {
	t.Parallel()
	st := newStore(t)
	w := begin(t, st)
	if err := w.Refs(Repo, Snapshot{}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	if problems := notes(t, st); len(problems) > 0 {
		t.Fatal(problems)
	}
	s := Snapshot{Refs: []*plumbing.Reference{ref("refs/heads/main", oidA)}}
	appended(t, st, s, func(w *Writer, p *part) error { return w.commands(Repo, p) })
	if problems := notes(t, st); len(problems) != 1 || !errors.Is(problems[0], ErrDamaged) {
		t.Errorf("refs/heads/main names an object that is nowhere: %v", problems)
	}
}
