package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"mayfly/internal/gocryptfs"
	"mayfly/runner"
)

// A decryption is what a host needs that encrypts what it pushes: its files
// come as they are stored into a folder beside the one they are wanted in, and
// from there decrypted into that.
type decryption struct {
	key    gocryptfs.Key
	stored string // the folder; gone at the end
	work   string // where views are mounted; gone at the end
}

// encrypted is the name by which gocryptfs marks each directory.
const encryptedMark = "gocryptfs.diriv"

var errEncrypted = errors.New("it is encrypted by gocryptfs: name the two files that the host has, --gocryptfs-config and --password-file; --raw brings the files as they are stored")

// decryption prepares it; nil when nothing is to be decrypted.
func (r *hostRestore) decryption() (*decryption, error) {
	o := r.o.host
	if o.config == "" && o.password == "" {
		return nil, nil
	}
	d := &decryption{key: gocryptfs.Key{Config: o.config, PasswordFile: o.password}}
	if err := d.key.Check(); err != nil {
		return nil, err
	}
	var err error
	if d.work, err = os.MkdirTemp("", "mayfly-view-"); err != nil {
		return nil, err
	}
	// On the same disk as the folder: there is to be room for it twice.
	if d.stored, err = os.MkdirTemp(filepath.Dir(filepath.Clean(o.output)), ".mayfly-restore-"); err != nil {
		return nil, errors.Join(err, os.Remove(d.work))
	}
	return d, nil
}

func (d *decryption) drop() {
	if d == nil {
		return
	}
	_ = os.RemoveAll(d.stored)
	_ = os.Remove(d.work) // not what a view shows
}

// names are the encrypted names of paths, and of all that decrypting them
// takes.
func (d *decryption) names(ctx context.Context, paths []string) (list []string, err error) {
	if len(paths) == 0 {
		return nil, nil
	}
	empty, err := os.MkdirTemp(d.work, "empty-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(empty)
	work := filepath.Join(d.work, "names")
	v, err := gocryptfs.Reverse(ctx, d.key, empty, work, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, v.Close(), os.Remove(work)) }()
	seen := map[string]bool{}
	for _, p := range paths {
		name, err := v.Encrypt(p)
		if err != nil {
			return nil, err
		}
		for _, one := range append(gocryptfs.Companions(name), name) {
			if !seen[one] {
				seen[one] = true
				list = append(list, one)
			}
		}
	}
	return list, nil
}

// decrypt copies what has come, decrypted.
func (s *restoreSession) decrypt(ctx context.Context) (err error) {
	d := s.decryption
	work := filepath.Join(d.work, "files")
	v, err := gocryptfs.Forward(ctx, d.key, d.stored, work)
	if err != nil {
		return fmt.Errorf("decrypt: %w", err)
	}
	defer func() { err = errors.Join(err, v.Close(), os.Remove(work)) }()
	s.app.say("Decrypting.")
	argv := []string{"-aS", "--numeric-ids", "--stats", "--no-human-readable"}
	if len(s.paths) > 0 {
		argv = append(argv, "-R")
		for _, p := range s.paths {
			argv = append(argv, v.Dir+"/./"+p)
		}
	} else {
		argv = append(argv, v.Dir+"/")
	}
	said, err := s.local(ctx, append(argv, s.o.host.output)...)
	if err != nil {
		return err
	}
	if said.code != 0 {
		return fmt.Errorf("decrypt: rsync ended with exit code %d: %s: is the key the host's?", said.code, brief(said.err))
	}
	n := rsyncStats(said.out)
	s.out = transferred{int(n["Number of files transferred"]), n["Total transferred file size"]}
	return leftOut(v.Skipped(), n["Number of files"])
}

// leftOut judges what could not be decrypted when so many entries could, the
// folder itself among them: whether they had to be copied says nothing, since
// they may have been there.
func leftOut(bad []string, entries int64) error {
	switch {
	case len(bad) > 0 && entries <= 1:
		return fmt.Errorf("decrypt: nothing could be decrypted: is the key the host's? %s", brief(bad[0]))
	case len(bad) > 0:
		return &codeError{exitPartial, fmt.Errorf("some files were not restored: %s could not be decrypted: %s", runner.FormatCount(len(bad), "names"), brief(strings.Join(bad, "; ")))}
	}
	return nil
}
