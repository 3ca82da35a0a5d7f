package receive

import (
	"context"
	"encoding/json"
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
	"mayfly/internal/store"
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
	// untellTime is for taking that back, which nobody waits for.
	untellTime = 20 * time.Second
)

// A Whereabouts is PREFIX/address.json, and what the parameter holds.
type Whereabouts struct {
	Format     int       `json:"format"` // 1
	Deployment string    `json:"deployment"`
	Run        string    `json:"run"`
	State      string    `json:"state"` // "open", "closed"
	Host       string    `json:"host,omitempty"`
	Port       int       `json:"port,omitempty"`
	HostKey    string    `json:"host_key"` // as in known_hosts, behind the name
	Opened     time.Time `json:"opened"`
	Until      time.Time `json:"until,omitzero"` // when it closes at the latest
}

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

// A notice is one way of telling where the instance is, and of taking it back.
type notice struct {
	what   string
	tell   func(context.Context) error
	retire func(context.Context) error
}

// announce tells where the instance is, by every way that the config names, and
// returns those that have to be taken back. What fails is an error of the job,
// and the window opens all the same: some hosts may have found it.
func (r *run) announce(ctx context.Context, until time.Time) []notice {
	a := r.config.Address
	list := r.self.Addresses
	var told []notice
	tell := func(n notice) {
		ctx, cancel := context.WithTimeout(ctx, tellTime)
		defer cancel()
		if err := n.tell(ctx); err != nil {
			r.errs = append(r.errs, fmt.Errorf("%s: %w", n.what, err))
			return
		}
		if n.retire != nil {
			told = append(told, n)
		}
	}
	if a.ElasticIP != "" { // first: it changes the address
		tell(notice{
			"give the instance its Elastic IP", func(ctx context.Context) error {
				ip, err := r.env.Addresses.Associate(ctx, a.ElasticIP, r.self)
				if err == nil {
					list = append(slices.DeleteFunc(slices.Clone(list), netip.Addr.Is4), ip)
				}
				return err
			},
			func(ctx context.Context) error { return r.env.Addresses.Dissociate(ctx, a.ElasticIP, r.self) },
		})
	}
	if a.Route53 != nil {
		tell(notice{
			"set the DNS record " + dnsName(a.Route53.Name),
			func(ctx context.Context) error {
				return r.env.Addresses.SetRecord(ctx, a.Route53.record(), recordTTL, list)
			},
			func(ctx context.Context) error {
				return r.env.Addresses.SetRecord(ctx, a.Route53.record(), recordTTL, nil)
			},
		})
	}
	if !a.URL.IsZero() {
		n := notice{what: "call the address of the dynamic DNS service", tell: func(ctx context.Context) error { return r.call(ctx, a.URL, list) }}
		if !a.RemoveURL.IsZero() {
			n.retire = func(ctx context.Context) error { return r.call(ctx, a.RemoveURL, list) }
		}
		tell(n)
	}
	w := r.whereabouts(list, until)
	if a.Parameter != "" {
		tell(notice{
			"write the parameter " + a.Parameter,
			func(ctx context.Context) error { return r.putParameter(ctx, w) },
			func(ctx context.Context) error { return r.putParameter(ctx, w.closed()) },
		})
	}
	tell(notice{
		"write " + addressFile,
		func(ctx context.Context) error { return r.putAddress(ctx, w) },
		func(ctx context.Context) error { return r.putAddress(ctx, w.closed()) },
	})
	r.rec.Log().Info(fmt.Sprintf("the window is open: %s port %d, host key %s", w.Host, w.Port, ssh.FingerprintSHA256(r.hostKey.PublicKey())))
	return told
}

// withdraw takes back what was told. What cannot be is worth a remark.
func (r *run) withdraw(ctx context.Context, told []notice) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), untellTime)
	defer cancel()
	for _, n := range slices.Backward(told) {
		if err := n.retire(ctx); err != nil {
			r.rec.Warn(runner.Problem{Doing: "undo: " + n.what, Reason: err.Error(), Fix: "hosts may call an address that is another's by now, and their check of the host key tells them; the next run sets it anew"})
		}
	}
}

func (r *run) whereabouts(list []netip.Addr, until time.Time) Whereabouts {
	w := Whereabouts{
		Format: 1, Deployment: r.env.Deployment, Run: r.env.RunID, State: "open", Port: r.config.Listen.Port,
		HostKey: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(r.hostKey.PublicKey()))), Opened: r.opened.UTC(), Until: until.UTC(),
	}
	switch {
	case r.config.Address.Route53 != nil:
		w.Host = dnsName(r.config.Address.Route53.Name)
	case len(list) > 0:
		w.Host = list[len(list)-1].String()
		if i := slices.IndexFunc(list, netip.Addr.Is4); i >= 0 {
			w.Host = list[i].String()
		}
	}
	return w
}

func (w Whereabouts) closed() Whereabouts {
	w.State, w.Host, w.Port, w.Until = "closed", "", 0, time.Time{}
	return w
}

func (w Whereabouts) text() []byte {
	b, err := json.MarshalIndent(w, "", "  ")
	if err != nil {
		panic(err) // it has nothing that cannot be encoded
	}
	return append(b, '\n')
}

func (r *run) putParameter(ctx context.Context, w Whereabouts) error {
	return r.env.Addresses.PutParameter(ctx, r.config.Address.Parameter, string(w.text()))
}

// putAddress replaces the file, whoever wrote it.
func (r *run) putAddress(ctx context.Context, w Whereabouts) error {
	key := r.env.Prefix + "/" + addressFile
	const tries = 3
	for try := 1; ; try++ {
		o, err := r.env.Store.Stat(ctx, key)
		if err != nil && !errors.Is(err, store.ErrNotExist) {
			return err
		}
		_, err = r.env.Store.Put(ctx, key, w.text(), o.ETag)
		if try < tries && (errors.Is(err, store.ErrChanged) || errors.Is(err, store.ErrExists)) {
			continue
		}
		return err
	}
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
