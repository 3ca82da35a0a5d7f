package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// resumeName is the file that says what a folder is being filled with, for as
// long as it is not full.
const resumeName = ".mayfly-restore.json"

// A resumption is what a folder is being filled with by restore --all. The same
// command goes on where it was cut off.
type resumption struct {
	Store    string `json:"store"`
	Path     string `json:"path"`
	At       string `json:"at,omitempty"`
	Checkout bool   `json:"checkout,omitempty"`
}

// begin makes dir what r says, or finds that it is that already: goOn. A folder
// that holds anything else is an error.
func (r resumption) begin(dir string) (goOn bool, err error) {
	mark := filepath.Join(dir, resumeName)
	b, err := os.ReadFile(mark)
	if err == nil {
		var was resumption
		if json.Unmarshal(b, &was) != nil || was != r {
			return false, fmt.Errorf("%s is being filled by another restore (%s says which): give the same command again to go on with it, or name another folder", dir, mark)
		}
		return true, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return false, err
	}
	if err := free(dir); err != nil {
		return false, err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return false, err
	}
	if b, err = json.Marshal(r); err != nil {
		return false, err
	}
	return false, os.WriteFile(mark, append(b, '\n'), 0o666)
}

// end says that the folder is full.
func (resumption) end(dir string) error { return os.Remove(filepath.Join(dir, resumeName)) }

// sweep removes what a restore that was killed has left unfinished in a folder.
func sweep(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), temporary) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return err
}
