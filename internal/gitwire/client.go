// Package gitwire talks to git servers over smart HTTP (gitprotocol-http(5),
// protocol version 0): it lists the references of a repository and streams
// packs, checking every byte on the way. It neither authenticates nor retries:
// the http.RoundTripper it is given does both.
package gitwire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/transport"

	"mayfly/internal/packfile"
)

// A Client reads repositories. Safe for concurrent use.
type Client struct {
	rt http.RoundTripper
	// Stall is how long the server may send nothing before a call ends with
	// Kind Cut: 60 s unless set before the first call. Time during which the
	// RoundTripper waits on its own account, or our writer, does not count.
	Stall time.Duration
	// Pace is how slowly a pack may come before Fetch ends with Kind Cut.
	// Like Stall, it counts only time in which we wait for the server.
	Pace Pace
	// Redact takes secrets out of what the server says, before that is cut:
	// half a secret is not found any more. It must be safe for concurrent use.
	Redact func(string) string
}

// New returns a client that sends its requests through rt. rt sees every
// request, those after a redirect too: it must add credentials only to
// requests for the host they belong to.
func New(rt http.RoundTripper) *Client {
	return &Client{rt: rt, Stall: 60 * time.Second, Pace: usualPace(), Redact: func(s string) string { return s }}
}

// Advertise asks for the references of the repository at repo, for example
// https://github.com/owner/name.git. Redirects are followed, and Fetch then
// goes where they led. Errors are *Error, unless ctx ended.
func (c *Client) Advertise(ctx context.Context, repo string) (*Advertisement, error) {
	call, err := c.begin(ctx, repo, "application/x-git-upload-pack-advertisement")
	if err != nil {
		return nil, err
	}
	defer call.end()
	refs, err := call.session.AdvertisedReferencesContext(call.ctx)
	if errors.Is(err, transport.ErrEmptyRemoteRepository) {
		if !call.servesGit() {
			return nil, &Error{Kind: Cut, Status: http.StatusOK, URL: call.url, Err: errors.New("it has no reference and does not name the service: this is no empty repository")}
		}
		return &Advertisement{Empty: true, url: call.landed()}, nil
	}
	if err != nil {
		return nil, call.fail(err)
	}
	a, err := newAdvertisement(refs)
	if err != nil {
		return nil, &Error{Kind: Unsupported, Status: http.StatusOK, URL: call.url, Err: err}
	}
	a.url = call.landed()
	return a, nil
}

// Fetch streams a pack of everything that wants reach and haves do not into w
// and checks it: header, the number of objects, each of them inflated to its
// size, the trailer, the end. Wants that are among haves are left out;
// ErrNothingToFetch when none remains. haves may only name objects whose whole
// history is kept: what they reach is not sent again. ErrUnknownHaves when the
// server knows none of them: it would send everything, and nothing is written.
//
// After an error what was written to w is worthless. Errors are *Error, unless
// ctx ended or w failed: then they wrap that cause.
func (c *Client) Fetch(ctx context.Context, a *Advertisement, wants, haves []plumbing.Hash, w io.Writer) (packfile.Pack, error) {
	haves = sorted(haves)
	wants = without(sorted(wants), haves)
	if len(wants) == 0 || a.Empty {
		return packfile.Pack{}, fmt.Errorf("%s: %w", a.url, ErrNothingToFetch)
	}
	call, err := c.begin(ctx, a.url, "application/x-git-upload-pack-result")
	if err != nil {
		return packfile.Pack{}, err
	}
	defer call.end()
	res, err := call.session.UploadPack(call.ctx, a.request(wants, haves))
	if err != nil {
		return packfile.Pack{}, call.fail(err)
	}
	defer res.Close()
	if len(haves) > 0 && len(res.ACKs) == 0 {
		return packfile.Pack{}, fmt.Errorf("%s: %w", a.url, ErrUnknownHaves)
	}
	band := &packBand{sideband.NewDemuxer(sideband.Sideband64k, res), c.Redact}
	p, err := packfile.Check(newPaced(band, c.Pace, call.cancel), w)
	if err != nil {
		return p, call.fail(err)
	}
	_, _ = io.CopyN(io.Discard, res, 1) // at its end: the connection can serve again
	return p, nil
}

// request asks for everything in one round. go-git has left out the thin-pack
// capability: packs stand for themselves, given what haves reach.
func (a *Advertisement) request(wants, haves []plumbing.Hash) *packp.UploadPackRequest {
	req := packp.NewUploadPackRequestFromCapabilities(a.capabilities)
	if a.capabilities.Supports(capability.NoProgress) {
		_ = req.Capabilities.Set(capability.NoProgress) // takes no argument: cannot fail
	}
	req.Wants, req.Haves = wants, haves
	return req
}

// sorted returns the ids in order, each once, in a slice of its own.
func sorted(ids []plumbing.Hash) []plumbing.Hash {
	ids = slices.Clone(ids)
	slices.SortFunc(ids, compare)
	return slices.Compact(ids)
}

// without returns those of ids that are not in known; both are sorted. go-git
// compares all with all, 34 s for 100,000, when any want is known.
func without(ids, known []plumbing.Hash) []plumbing.Hash {
	return slices.DeleteFunc(ids, func(id plumbing.Hash) bool {
		_, found := slices.BinarySearchFunc(known, id, compare)
		return found
	})
}

func compare(a, b plumbing.Hash) int { return bytes.Compare(a[:], b[:]) }
