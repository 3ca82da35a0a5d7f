package receive

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"mayfly/internal/store"
)

// A Whereabouts is PREFIX/address.json, and what the parameter holds.
type Whereabouts struct {
	Format     int       `json:"format"` // 1
	Deployment string    `json:"deployment"`
	Run        string    `json:"run"`
	State      string    `json:"state"` // "open"; else nobody is there: "opening", "closing", "closed"
	Host       string    `json:"host,omitempty"`
	Port       int       `json:"port,omitempty"`
	HostKey    string    `json:"host_key"` // as in known_hosts, behind the name
	Opened     time.Time `json:"opened"`
	Until      time.Time `json:"until,omitzero"` // when it closes at the latest
}

func (r *run) whereabouts(list []netip.Addr, until time.Time, state string) Whereabouts {
	w := Whereabouts{
		Format: 1, Deployment: r.env.Deployment, Run: r.env.RunID, State: state, Port: r.config.Listen.Port,
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
	w.State, w.Host, w.Port, w.Until = stateClosed, "", 0, time.Time{}
	return w
}

func (w Whereabouts) text() []byte { return text(w) }

func (r *run) putParameter(ctx context.Context, w Whereabouts) error {
	return r.env.Addresses.PutParameter(ctx, r.config.Address.Parameter, string(w.text()))
}

// putAddress replaces the file, whoever wrote it.
func (r *run) putAddress(ctx context.Context, w Whereabouts) error {
	return replace(ctx, r.env.Store, r.env.Prefix+"/"+addressFile, w.text())
}

// lastAddress is what the run before has left in the file; the zero
// Whereabouts: nothing that can be read.
func (r *run) lastAddress(ctx context.Context) (w Whereabouts, err error) {
	f, _, err := r.env.Store.Open(ctx, r.env.Prefix+"/"+addressFile, 0, -1)
	if errors.Is(err, store.ErrNotExist) {
		return w, nil
	}
	if err != nil {
		return w, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return w, err
	}
	if json.Unmarshal(b, &w) != nil {
		return Whereabouts{}, nil // whoever wrote that has told nothing
	}
	return w, nil
}
