package push

import (
	"fmt"
	"path"
	"strings"
)

// A problem is a mistake that the types alone do not find.
type problem struct{ path, what, fix string }

// problems are all mistakes in what was decoded; has reports whether the
// document has something at a place.
func (c *Config) problems(has func(string) bool) []problem {
	var list []problem
	add := func(path, what, fix string) { list = append(list, problem{path, what, fix}) }
	c.checkAddress(has, add)
	if has("sources") && len(c.Sources) == 0 {
		add("sources", "nothing would be pushed", "name a directory: [/etc]")
	}
	for i, s := range c.Sources {
		c.checkSource(i, s, add)
	}
	switch {
	case c.AppendOnly && c.Delete != nil && *c.Delete:
		add("delete", "an append_only host can delete nothing", "write delete: false, or leave it away")
	case !c.deletes() && has("max_delete"):
		add("max_delete", "nothing is deleted", "leave it away")
	}
	if has("wait") && c.Wait <= 0 {
		add("wait", "is no time", "write how long to try, like 30m")
	}
	if c.AppendOnly && c.Encrypt != nil {
		add("append_only", "an encrypted file that has changed is another file, which append_only keeps from being replaced", "leave one of them away")
	}
	return list
}

func (c *Config) checkAddress(has func(string) bool, add func(path, what, fix string)) {
	a, ways := c.Address, 0
	for _, w := range []string{a.Host, a.Store, a.Parameter} {
		if w != "" {
			ways++
		}
	}
	if has("address") && ways != 1 {
		add("address", "it says nothing, or more than one thing", "write one of host, store and parameter")
	}
	if a.Host != "" {
		if err := checkHost(a.Host); err != nil {
			what, fix, _ := strings.Cut(err.Error(), ": ")
			add("address.host", what, fix)
		}
	}
	if a.Store != "" && !storeForm.MatchString(a.Store) {
		add("address.store", "is no place of address.json", "write the receiver's store and the job's prefix, like s3://hostsbucket/hosts")
	}
	if a.Parameter != "" && !paramForm.MatchString(a.Parameter) {
		add("address.parameter", "is no name of a parameter", "write it as in the receiver's config, like /hosts/address")
	}
	if a.Host != "" && a.Region != "" {
		add("address.region", "an address is in no region", "leave it away")
	}
	if a.Host == "" && ways > 0 && a.Region == "" {
		add("address", "the region is missing", "add region:, like region: eu-west-1")
	}
}

func (c *Config) checkSource(i int, s Source, add func(path, what, fix string)) {
	at := fmt.Sprintf("sources[%d]", i)
	if s.Path == "/" && !s.OneFileSystem {
		add(at, "/ has /proc and /sys below it", "write {path: /, one_file_system: true}, and other disks as sources of their own")
	}
	if c.keeps(s.Path) {
		add(at, "is a key, which never leaves this machine", "leave it away, and keep a copy elsewhere")
	}
	if s.To != "" && !toForm.MatchString(s.To) {
		add(at+".to", "is no name of a directory", "write one name of letters, digits, '.', '_' and '-', without slashes")
	}
	if s.OneFileSystem && c.Encrypt != nil {
		add(at+".one_file_system", "gocryptfs shows all as one file system", "leave it away, and name what is mounted below in exclude:")
	}
	if s.To != "" && c.Encrypt != nil {
		add(at+".to", "what is encrypted keeps its path, which is encrypted too", "leave to: away")
	}
	for j, e := range s.Exclude {
		if e == "" || strings.ContainsAny(e, "\x00\n\r") || strings.Trim(e, "/") == "" || strings.HasPrefix(e, "!") {
			add(fmt.Sprintf("%s.exclude[%d]", at, j), "is no pattern", "write a name or a pattern like *.iso; nothing is taken back in")
		}
	}
	for j, o := range c.Sources[:i] {
		switch {
		case s.Path == o.Path:
			add(at, "it is there twice", "leave one away")
		case s.Path == "/" && o.To != "" || o.Path == "/" && s.To != "":
			add(at, fmt.Sprintf("it and sources[%d]: / takes the whole directory at the receiver, and would delete what another's to: has put there", j), "leave to: away")
		case top(s) == top(o) && (s.To != "" || o.To != ""):
			add(at, fmt.Sprintf("it and sources[%d] go to the same directory, %s", j, top(s)), "give one another to:")
		}
	}
}

// keeps reports whether a path is that of a key.
func (c *Config) keeps(p Path) bool {
	k, crypt := c.CryptKey()
	return p != "" && (p == c.Key || crypt && (string(p) == k.Config || string(p) == k.PasswordFile))
}

// top is the first name of where a source goes.
func top(s Source) string {
	if s.To != "" {
		return s.To
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(path.Clean(string(s.Path)), "/"), "/")
	return first
}
