package receive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"mayfly/internal/secret"
	"mayfly/runner"
)

// AddressFile is where hosts with credentials for the store read how the
// instance is reached, a Whereabouts, below the job's prefix.
const AddressFile = addressFile

const addressFile = "address.json"

const (
	// recordTTL is how long resolvers may believe a record: the next run has
	// another address.
	recordTTL = time.Minute
	// tellTime is for each way of telling where the instance is.
	tellTime = 90 * time.Second
	// untellTime is for taking that back, which nobody waits for, and fileTime
	// for saying so in addressFile.
	untellTime = 15 * time.Second
	fileTime   = 5 * time.Second
)

// The states of a Whereabouts. Only in stateOpen is anybody there.
const (
	stateOpening = "opening" // some ways may have been told already
	stateOpen    = "open"
	stateClosing = "closing" // not all of them could be taken back
	stateClosed  = "closed"
)

// words says how hosts find the instance.
func (a Address) words() string {
	var ways []string
	if a.ElasticIP != "" {
		ways = append(ways, "Elastic IP "+a.ElasticIP)
	}
	if a.Route53 != nil {
		ways = append(ways, dnsName(a.Route53.Name))
	}
	return strings.Join(append(ways, a.otherwise()...), ", ")
}

// otherwise are the ways that have no fixed address.
func (a Address) otherwise() []string {
	var ways []string
	if !a.URL.IsZero() {
		ways = append(ways, "the name of the dynamic DNS service at "+a.URL.String())
	}
	if a.Parameter != "" {
		ways = append(ways, "the parameter "+a.Parameter)
	}
	if a.Store {
		ways = append(ways, addressFile+" in the store")
	}
	return ways
}

// A notice is one way of telling where the instance is, and of taking it back;
// retire nil: that cannot be.
type notice struct {
	what         string
	tell, retire func(context.Context) error
}

// ways are the ways by which the config has the instance be found, besides an
// Elastic IP and the file.
func (r *run) ways(list []netip.Addr, w Whereabouts) []notice {
	a := r.config.Address
	var all []notice
	if a.Route53 != nil {
		set := func(list []netip.Addr) func(context.Context) error {
			return func(ctx context.Context) error {
				return r.env.Addresses.SetRecord(ctx, a.Route53.record(), recordTTL, list)
			}
		}
		all = append(all, notice{"set the DNS record " + dnsName(a.Route53.Name), set(list), set(nil)})
	}
	if !a.URL.IsZero() {
		n := notice{what: "call the address of the dynamic DNS service", tell: func(ctx context.Context) error { return r.call(ctx, a.URL, list) }}
		if !a.RemoveURL.IsZero() {
			n.retire = func(ctx context.Context) error { return r.call(ctx, a.RemoveURL, list) }
		}
		all = append(all, n)
	}
	if a.Parameter != "" {
		put := func(w Whereabouts) func(context.Context) error {
			return func(ctx context.Context) error { return r.putParameter(ctx, w) }
		}
		all = append(all, notice{"write the parameter " + a.Parameter, put(w), put(w.closed())})
	}
	return all
}

// announce tells where the instance is, by every way that the config names, and
// returns what has to be taken back; what failed may have been done all the
// same. It is an error of the job, and the window opens: some hosts may have
// found it.
func (r *run) announce(ctx context.Context, until time.Time) ([]notice, Whereabouts) {
	r.markOpening(ctx, until)
	tell := func(n notice) {
		ctx, cancel := context.WithTimeout(ctx, tellTime)
		defer cancel()
		if err := n.tell(ctx); err != nil {
			r.errs = append(r.errs, fmt.Errorf("%s: %w", n.what, err))
		}
	}
	list := r.self.Addresses
	if id := r.config.Address.ElasticIP; id != "" { // first: it changes the address
		r.holdsAddress(r.self)
		tell(notice{what: "give the instance its Elastic IP", tell: func(ctx context.Context) error {
			ip, err := r.env.Addresses.Associate(ctx, id, r.self)
			if err == nil {
				list = append(slices.DeleteFunc(slices.Clone(list), netip.Addr.Is4), ip)
			}
			return err
		}})
	}
	w := r.whereabouts(list, until, stateOpen)
	told := r.ways(list, w)
	for _, n := range told {
		tell(n)
	}
	r.list = list
	tell(notice{what: "write " + addressFile, tell: func(ctx context.Context) error { return r.putAddress(ctx, w) }})
	r.rec.Log().Info(fmt.Sprintf("the window is open: %s port %d, host key %s", w.Host, w.Port, ssh.FingerprintSHA256(r.hostKey.PublicKey())))
	return told, w
}

// call asks a dynamic DNS service for an update. Its address is a secret: no
// error holds it.
func (r *run) call(ctx context.Context, ref secret.Ref, list []netip.Addr) error {
	v, err := r.env.Secret(ref)
	if err != nil {
		return err
	}
	address, err := fillAddress(v.Reveal(), list)
	if err != nil {
		return err
	}
	r.env.Hide(secret.New(address))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fmt.Errorf("%s holds no address of a service", ref)
	}
	req.Header.Set("User-Agent", "mayfly/"+r.env.Version)
	client := http.Client{Transport: r.env.HTTP, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for pause := time.Second; ; pause *= 2 {
		err = ask(&client, req)
		refused := (*refusedError)(nil)
		if err == nil || errors.As(err, &refused) || pause > 8*time.Second {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// A refusedError is an answer that another try will not change.
type refusedError struct{ said string }

func (e *refusedError) Error() string { return e.said }

// ask sends one request. Services of the kind answer 200 whatever happened, and
// say so in a word: https://help.dyn.com/remote-access-api/return-codes/
func ask(client *http.Client, req *http.Request) error {
	resp, err := client.Do(req)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			return e.Err // whose text has not the address
		}
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1000))
	if err != nil {
		return err
	}
	said := runner.OneLine(strings.TrimSpace(string(b)), 200)
	switch {
	case resp.StatusCode >= 500:
		return fmt.Errorf("the service answers %s: %s", resp.Status, said)
	case resp.StatusCode >= 300:
		return &refusedError{fmt.Sprintf("the service answers %s: %s", resp.Status, said)}
	}
	word, _, _ := strings.Cut(strings.ToLower(said), " ")
	switch word {
	case "badauth", "notfqdn", "nohost", "numhost", "abuse", "badagent", "!donator", "ko":
		return &refusedError{"the service says " + strconv.Quote(said)}
	case "dnserr", "911":
		return fmt.Errorf("the service says %q", said)
	}
	return nil
}

// fillAddress puts the instance's addresses into the service's.
func fillAddress(address string, list []netip.Addr) (string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "https" && !(u.Scheme == "http" && isLocal(u.Hostname())) {
		return "", errors.New("it is no address like https://dyndns.example.com/update?ip={ip}")
	}
	values := map[string]string{}
	for _, a := range list {
		family := "{ipv6}"
		if a.Is4() {
			family = "{ipv4}"
		}
		if values[family] == "" {
			values[family] = a.String()
		}
	}
	values["{ip}"] = values["{ipv4}"]
	if values["{ip}"] == "" {
		values["{ip}"] = values["{ipv6}"]
	}
	for _, place := range []string{"{ip}", "{ipv4}", "{ipv6}"} {
		if !strings.Contains(address, place) {
			continue
		}
		if values[place] == "" {
			return "", fmt.Errorf("it asks for %s, and the instance has no such address", place)
		}
		address = strings.ReplaceAll(address, place, url.QueryEscape(values[place]))
	}
	return address, nil
}

func isLocal(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && (ip.IsLoopback() || ip.IsPrivate())
}
