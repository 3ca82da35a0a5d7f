package hook

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// A Ping is a check of a service that raises an alarm when it hears nothing in
// time. Start and Failure may be "": that is not told then.
type Ping struct {
	Sender
	Start, Success, Failure string
	// ID is what makes the pings of one run belong together, a UUID.
	// https://healthchecks.io/docs/measuring_script_run_time/
	ID string
}

// maxPing is what healthchecks.io keeps of a body.
// https://healthchecks.io/docs/attaching_logs/
const maxPing = 100_000

// Below makes the addresses of a check from the one that tells success, as
// healthchecks.io has them, and with it Better Stack's heartbeats and others:
// …/start and …/fail. https://healthchecks.io/docs/http_api/
func Below(success string) (start, failure string, err error) {
	u, err := url.Parse(success)
	if err != nil {
		return "", "", errors.New("it is not an address")
	}
	path := func(last string) string {
		v := *u
		v.Path = strings.TrimSuffix(u.Path, "/") + last
		v.RawPath = ""
		return v.String()
	}
	return path("/start"), path("/fail"), nil
}

// Begin tells that a run has begun.
func (p Ping) Begin(ctx context.Context) error { return p.send(ctx, p.Start, nil) }

// End tells how a run ended; report is plain text, of which the service gets
// the first 100 kB.
func (p Ping) End(ctx context.Context, good bool, report string) error {
	address := p.Success
	if !good {
		address = p.Failure
	}
	return p.send(ctx, address, []byte(report[:min(len(report), maxPing)]))
}

func (p Ping) send(ctx context.Context, address string, body []byte) error {
	if address == "" {
		return nil
	}
	u, err := url.Parse(address)
	if err != nil {
		return errors.New("it is not an address")
	}
	if p.ID != "" {
		q := u.Query()
		q.Set("rid", p.ID)
		u.RawQuery = q.Encode()
	}
	return p.Post(ctx, u.String(), http.Header{"Content-Type": {"text/plain; charset=utf-8"}}, body)
}
