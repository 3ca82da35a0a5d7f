package github

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	gh "github.com/google/go-github/v57/github"
)

// packed is GitHub's description of a repository as it waits in memory for its
// segment: JSON without what follows from the name, deflated with a dictionary
// that all of them share. About 250 bytes, of GitHub's 5,000: an account may
// have 50,000 repositories.
type packed []byte

// text is the JSON, indented, for a person to read.
func (p packed) text() ([]byte, error) {
	b, err := io.ReadAll(flate.NewReaderDict(bytes.NewReader(p), []byte(usualMetadata)))
	if err != nil {
		return nil, fmt.Errorf("unpack the metadata: %w", err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", "  "); err != nil {
		return nil, fmt.Errorf("unpack the metadata: %w", err)
	}
	return out.Bytes(), nil
}

// A packer packs one repository after the other. It is not safe for concurrent
// use.
type packer struct {
	out bytes.Buffer
	w   *flate.Writer
}

func newPacker() (*packer, error) {
	p := &packer{}
	w, err := flate.NewWriterDict(&p.out, flate.BestCompression, []byte(usualMetadata))
	p.w = w
	return p, err
}

func (p *packer) pack(r *gh.Repository) (packed, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	if b, err = shorten(b); err != nil {
		return nil, err
	}
	p.out.Reset()
	p.w.Reset(&p.out)
	if _, err := p.w.Write(b); err != nil {
		return nil, err
	}
	if err := p.w.Close(); err != nil {
		return nil, err
	}
	return bytes.Clone(p.out.Bytes()), nil
}

// shorten drops from GitHub's JSON the addresses that follow from a name, which
// are most of it, and every token: temp_clone_token reads a private repository.
func shorten(b []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	drop(v)
	return json.Marshal(v)
}

func drop(v any) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			drop(e)
		}
	case map[string]any:
		for k, e := range v {
			if !wanted(k) {
				delete(v, k)
				continue
			}
			drop(e)
		}
	}
}

// wanted reports whether a key of GitHub's JSON tells a person something.
func wanted(key string) bool {
	switch key {
	case "html_url", "clone_url", "ssh_url", "mirror_url":
		return true
	case "url", "node_id", "gravatar_id":
		return false
	}
	return !strings.HasSuffix(key, "_url") && !strings.Contains(key, "token")
}

// usualMetadata is what most of them have in common, keys in order. Changing it
// changes nothing that is kept anywhere.
const usualMetadata = `"parent":{"source":{"template_repository":{"organization":{"mirror_url":"git:` +
	`"language":"TypeScript""language":"JavaScript""language":"Python""language":"Java""language":"Rust""language":"C++""language":"Shell""language":"HTML""language":"Ruby"` +
	`"license":{"key":"gpl-3.0","name":"GNU General Public License v3.0","spdx_id":"GPL-3.0"}"license":{"key":"bsd-3-clause","name":"BSD 3-Clause \"New\" or \"Revised\" License","spdx_id":"BSD-3-Clause"}` +
	`"license":{"key":"other","name":"Other","spdx_id":"NOASSERTION"}"license":{"key":"apache-2.0","name":"Apache License 2.0","spdx_id":"Apache-2.0"}` +
	`"permissions":{"admin":false,"maintain":false,"pull":true,"push":false,"triage":false},"private":true,"visibility":"private"` +
	`"archived":true,"fork":true,"has_wiki":false,"owner":{"type":"Organization"}"custom_properties":{"network_count":"subscribers_count":"security_and_analysis":` +
	`{"allow_forking":true,"archived":false,"clone_url":"https://github.com/"created_at":"2019-01-26T19:01:12Z","default_branch":"master"` +
	`"created_at":"2023-01-26T19:01:12Z","default_branch":"main","description":"A library for the the tool that is and to in","disabled":false,"fork":false,"forks":0,"forks_count":0,` +
	`"full_name":"has_discussions":false,"has_downloads":true,"has_issues":true,"has_pages":false,"has_projects":true,"has_wiki":true,"homepage":"https://www.` +
	`"homepage":"","html_url":"https://github.com/"id":"is_template":false,"language":"Go","license":{"key":"mit","name":"MIT License","spdx_id":"MIT"},"name":"` +
	`"open_issues":0,"open_issues_count":0,"owner":{"html_url":"https://github.com/"id":"login":"site_admin":false,"type":"User"},` +
	`"permissions":{"admin":true,"maintain":true,"pull":true,"push":true,"triage":true},"private":false,"pushed_at":"2026-11-20T17:04:12Z","size":"ssh_url":"git@github.com:` +
	`.git","stargazers_count":0,"topics":[],"updated_at":"2026-11-20T17:04:12Z","visibility":"public","watchers":0,"watchers_count":0,"web_commit_signoff_required":false}`
