package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"mayfly/internal/awstest"
	"mayfly/internal/githubtest"
	"mayfly/internal/gittest"
)

// servers stand in for GitHub and AWS.
type servers struct {
	github    *githubtest.Server
	githubURL string
	aws       *awstest.Server
}

func (w *servers) close() {
	w.github.Close()
	w.aws.Close()
}

// start makes the repositories and starts the servers over them.
func (d *demo) start(ctx context.Context) (*servers, error) {
	root := filepath.Join(d.dir, "github")
	w := &servers{github: githubtest.New(githubtest.Options{Dir: root, Login: owner, Token: token})}
	fill := d.samples
	if d.repos != "" {
		fill = d.copies
	}
	if err := fill(ctx, root, w.github); err != nil {
		return nil, err
	}
	var err error
	if w.aws, err = awstest.New(); err != nil {
		return nil, err
	}
	w.aws.Topics = []string{awstest.TopicARN("demo")}
	w.aws.Parameters["/demo/github-token"] = token
	if w.githubURL, err = w.github.Listen(); err != nil {
		w.aws.Close()
		return nil, err
	}
	return w, nil
}

// samples makes one repository of each kind that a backup has to cope with.
func (d *demo) samples(_ context.Context, root string, s *githubtest.Server) error {
	dir := func(name string) string { return filepath.Join(root, owner, name+".git") }
	for name, kind := range map[string]gittest.Kind{
		"hello-world":      gittest.Normal,
		"hello-world.wiki": gittest.Wiki,
		"dotfiles":         gittest.Shared,
		"secret-plans":     gittest.OddTags,
		"just-created":     gittest.Empty,
		"broken":           gittest.Normal,
	} {
		if err := gittest.Repo(dir(name), kind); err != nil {
			return err
		}
	}
	if err := gittest.Big(dir("photos"), 40<<20, 1); err != nil {
		return err
	}
	s.Set(owner+"/secret-plans", githubtest.Attributes{Private: true})
	s.Git.Fail(owner+"/broken", gittest.Fault{Step: gittest.Pack, Corrupt: true})
	return nil
}

// copies mirrors the repositories below d.repos, which stay untouched.
func (d *demo) copies(_ context.Context, root string, _ *githubtest.Server) error {
	found := 0
	err := filepath.WalkDir(d.repos, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return err
		}
		if !isRepository(path) {
			return nil
		}
		name := repositoryName(d.repos, path)
		fmt.Fprintf(d.out, "serving %s as %s/%s\n", path, owner, name)
		if _, err := gittest.Git("", "clone", "-q", "--mirror", path, filepath.Join(root, owner, name+".git")); err != nil {
			return err
		}
		found++
		return filepath.SkipDir
	})
	if err != nil {
		return fmt.Errorf("copy the repositories below %s: %w", d.repos, err)
	}
	if found == 0 {
		return errors.New("there is no git repository below " + d.repos)
	}
	return nil
}

// isRepository reports whether dir is a bare repository or a work tree.
func isRepository(dir string) bool {
	for _, git := range []string{dir, filepath.Join(dir, ".git")} {
		_, errHead := os.Stat(filepath.Join(git, "HEAD"))
		_, errObjects := os.Stat(filepath.Join(git, "objects"))
		if errHead == nil && errObjects == nil {
			return true
		}
	}
	return false
}

// repositoryName makes a name that GitHub would take of a path below root.
func repositoryName(root, path string) string {
	rel, err := filepath.Rel(root, path)
	if err != nil || rel == "." {
		rel = filepath.Base(path)
	}
	rel = strings.TrimSuffix(rel, ".git")
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '_':
			return r
		}
		return '-'
	}, rel)
}
