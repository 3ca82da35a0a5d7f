//go:build linux

package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// repositories finds the git repositories below root, bare or not, two levels
// deep at most, by a name that is theirs.
func repositories(root string) (map[string]string, error) {
	found := map[string]string{}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return err
		}
		if _, err := os.Stat(filepath.Join(path, "objects")); err != nil {
			if _, err := os.Stat(filepath.Join(path, ".git", "objects")); err != nil {
				return nil
			}
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		rel = strings.TrimSuffix(strings.TrimSuffix(rel, string(filepath.Separator)+"repo"), ".git")
		found[strings.NewReplacer("/", "-", "+", "-").Replace(rel)] = path
		return filepath.SkipDir
	})
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("no git repository below %s", root)
	}
	return found, err
}
