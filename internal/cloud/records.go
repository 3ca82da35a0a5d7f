package cloud

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"
)

// SetRecord points a name in a hosted zone at addresses, with an A and an AAAA
// record; the one of which there are none is deleted. With no addresses at all
// both are. All of it is one change, and none when the records are so already.
// The name's records of other types are left alone, and so are those that the
// name cannot share: an alias, a routing policy, a CNAME. They are an error,
// unless the records are only to be gone.
//
// It does not wait until all name servers know: that takes Route 53 a minute or
// less.
func (z Zones) SetRecord(ctx context.Context, zone, name string, ttl time.Duration, list []netip.Addr) error {
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	const tries = 3
	for try := 1; ; try++ {
		there, err := z.records(ctx, zone, name)
		if err != nil {
			return err
		}
		changes, err := recordChanges(there, name, ttl, list)
		if err != nil || len(changes) == 0 {
			return err
		}
		_, err = z.client.ChangeResourceRecordSets(ctx, &route53.ChangeResourceRecordSetsInput{
			HostedZoneId: &zone, ChangeBatch: &types.ChangeBatch{Changes: changes, Comment: aws.String("by mayfly")},
		})
		if _, refused := errors.AsType[*types.InvalidChangeBatch](err); refused && try < tries {
			continue // a lost answer's change has been made, or somebody else's: another look says
		}
		return explainZone(err, "route53:ChangeResourceRecordSets", name+" in hosted zone "+zone)
	}
}

// records are those of a name, of every type.
func (z Zones) records(ctx context.Context, zone, name string) ([]types.ResourceRecordSet, error) {
	var list []types.ResourceRecordSet
	pages := route53.NewListResourceRecordSetsPaginator(z.client, &route53.ListResourceRecordSetsInput{
		HostedZoneId: &zone, StartRecordName: &name, MaxItems: aws.Int32(20),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, explainZone(err, "route53:ListResourceRecordSets", "hosted zone "+zone)
		}
		for _, s := range page.ResourceRecordSets {
			if normal(aws.ToString(s.Name)) != normal(name) {
				return list, nil // they are in the names' order
			}
			list = append(list, s)
		}
	}
	return list, nil
}

// recordChanges is what leads from the records that are there to those that
// are wanted.
func recordChanges(there []types.ResourceRecordSet, name string, ttl time.Duration, list []netip.Addr) ([]types.Change, error) {
	var changes []types.Change
	for _, kind := range []types.RRType{types.RRTypeA, types.RRTypeAaaa} {
		var now *types.ResourceRecordSet
		for _, s := range there {
			why := unshared(s)
			switch {
			case why != "" && len(list) > 0:
				return nil, &actionError{
					action: "route53:ChangeResourceRecordSets", resource: name, kind: ErrBusy, err: ErrBusy, reason: why,
					fix: "it is left alone: delete it, or choose a name of its own for this",
				}
			case s.Type == kind && why == "":
				now = &s
			}
		}
		want := recordSet(name, kind, ttl, list)
		switch {
		case want != nil && (now == nil || !sameRecord(*now, *want)):
			changes = append(changes, types.Change{Action: types.ChangeActionUpsert, ResourceRecordSet: want})
		case want == nil && now != nil:
			changes = append(changes, types.Change{Action: types.ChangeActionDelete, ResourceRecordSet: now})
		}
	}
	return changes, nil
}

// unshared says why a record keeps others from being set beside it; "": it
// does not.
func unshared(s types.ResourceRecordSet) string {
	switch {
	case s.Type == types.RRTypeCname:
		return "the name has a CNAME record"
	case s.Type != types.RRTypeA && s.Type != types.RRTypeAaaa:
		return ""
	case s.AliasTarget != nil:
		return "its " + string(s.Type) + " record is an alias of " + aws.ToString(s.AliasTarget.DNSName)
	case s.SetIdentifier != nil:
		return "its " + string(s.Type) + " records have a routing policy (" + aws.ToString(s.SetIdentifier) + ")"
	case s.TrafficPolicyInstanceId != nil:
		return "its " + string(s.Type) + " record is made by a traffic policy"
	}
	return ""
}

// recordSet is the record of one type; nil: there is no address for it.
func recordSet(name string, kind types.RRType, ttl time.Duration, list []netip.Addr) *types.ResourceRecordSet {
	s := &types.ResourceRecordSet{Name: &name, Type: kind, TTL: aws.Int64(int64(ttl / time.Second))}
	for _, a := range list {
		value := a.Unmap().String()
		if a.Unmap().Is4() == (kind == types.RRTypeA) && !slices.Contains(recordValues(*s), value) {
			s.ResourceRecords = append(s.ResourceRecords, types.ResourceRecord{Value: &value})
		}
	}
	if len(s.ResourceRecords) == 0 {
		return nil
	}
	return s
}

func sameRecord(a, b types.ResourceRecordSet) bool {
	return aws.ToInt64(a.TTL) == aws.ToInt64(b.TTL) && a.HealthCheckId == nil && slices.Equal(recordValues(a), recordValues(b))
}

func recordValues(s types.ResourceRecordSet) []string {
	var list []string
	for _, r := range s.ResourceRecords {
		list = append(list, aws.ToString(r.Value))
	}
	slices.Sort(list)
	return list
}
