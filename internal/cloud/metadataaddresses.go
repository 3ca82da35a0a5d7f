package cloud

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Addresses are those by which others reach this instance: of IPv4 its public
// one or, when it has none, the private one; and those of IPv6 of its primary
// network interface. While metadata does not answer, it tries again as Identity
// does.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-categories.html
func (m *Metadata) Addresses(ctx context.Context) (list []netip.Addr, err error) {
	err = m.patiently(ctx, func(ctx context.Context) error {
		list, err = m.addresses(ctx)
		return err
	})
	return list, err
}

func (m *Metadata) addresses(ctx context.Context) ([]netip.Addr, error) {
	var list []netip.Addr
	for _, path := range []string{"public-ipv4", "local-ipv4"} {
		found, err := m.addressesAt(ctx, path)
		if err != nil {
			return nil, err
		}
		if len(found) > 0 {
			list = found[:1]
			break
		}
	}
	mac, err := m.get(ctx, "mac")
	if err != nil {
		return nil, err
	}
	six, err := m.addressesAt(ctx, "network/interfaces/macs/"+mac+"/ipv6s")
	if err != nil {
		return nil, err
	}
	return slices.Concat(list, six), nil
}

// addressesAt reads a path that lists addresses, one a line.
func (m *Metadata) addressesAt(ctx context.Context, path string) ([]netip.Addr, error) {
	text, err := m.get(ctx, path)
	if err != nil {
		return nil, err
	}
	var list []netip.Addr
	for _, word := range strings.Fields(text) {
		a, err := netip.ParseAddr(word)
		if err != nil {
			return nil, fmt.Errorf("%s holds no address: %.100q", path, word)
		}
		list = append(list, a)
	}
	return list, nil
}
