package main

import (
	"net/url"
	"path"
	"strings"

	"mayfly/runner"
)

// A hand spells commands by which a person changes a store, for mayfly itself
// deletes nothing, or gets back what is no archive.
type hand struct{ endpoint string }

// byHand is for the store of a config, which may be nil.
func byHand(c *runner.Config) hand {
	if c == nil || c.Store.Endpoint == "" {
		return hand{}
	}
	return hand{" --endpoint-url " + shellWord(c.Store.Endpoint)}
}

// removeAll removes all that is below an address of a store.
func (h hand) removeAll(address string) string {
	if dir, ok := dirOf(address); ok {
		return "rm -r " + shellWord(dir)
	}
	return "aws s3 rm --recursive " + shellWord(address+"/") + h.endpoint
}

// remove removes one object.
func (h hand) remove(address string) string {
	if file, ok := dirOf(address); ok {
		return "rm " + shellWord(file)
	}
	return "aws s3 rm " + shellWord(address) + h.endpoint
}

// write makes one object that says little.
func (h hand) write(address string) string {
	if file, ok := dirOf(address); ok {
		return "echo damaged > " + shellWord(file)
	}
	return "echo damaged | aws s3 cp - " + shellWord(address) + h.endpoint
}

// copyOut copies a folder of a store, or one object, to where the person is.
func (h hand) copyOut(address string, folder bool) string {
	if dir, ok := dirOf(address); ok {
		return "cp -r " + shellWord(dir) + " ."
	}
	if folder {
		return "aws s3 cp --recursive " + shellWord(address+"/") + " " + shellWord(path.Base(address)) + "/" + h.endpoint
	}
	return "aws s3 cp " + shellWord(address) + " ." + h.endpoint
}

// dirOf is the path of a file:// address.
func dirOf(address string) (string, bool) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "file" {
		return "", false
	}
	return u.Path, true
}

// shellWord spells s as one word of sh that no program takes for an option.
func shellWord(s string) string {
	if strings.HasPrefix(s, "-") {
		s = "./" + s
	}
	if s != "" && strings.TrimLeft(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._:=@%+,-") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
