package cloud

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/smithy-go"
)

const (
	fixAddress = "check its id, account and region; aws ec2 describe-addresses lists them"
	// movedAnswer is how long one request may go unanswered that changes the
	// very address it was sent from: the answer may never arrive.
	movedAnswer = 8 * time.Second
	// takenLooks is how often it is looked whether who has an address lets it
	// go: an instance that is ending has it until it has ended. A minute.
	takenLooks = 30
)

// An Address is an Elastic IP.
type Address struct {
	Allocation string // "eipalloc-0123456789abcdef0"
	IP         netip.Addr
	// Association is "" when nothing has it. Else Interface has it, which is
	// Instance's, or, when that is "", something else's: a NAT gateway's.
	Association, Interface, Instance string
	Tags                             map[string]string
}

// Free reports whether nothing has it.
func (a Address) Free() bool { return a.Association == "" && a.Instance == "" && a.Interface == "" }

// Address asks for an Elastic IP by its allocation's id. ErrNotFound: the region
// has none of that id.
func (e EC2) Address(ctx context.Context, allocation string) (Address, error) {
	const action = "ec2:DescribeAddresses"
	resource := "Elastic IP " + allocation
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	out, err := e.client.DescribeAddresses(ctx, &ec2.DescribeAddressesInput{AllocationIds: []string{allocation}})
	if err != nil {
		return Address{}, explainAddress(err, action, resource)
	}
	if len(out.Addresses) == 0 {
		return Address{}, notFound(action, resource, ErrNotFound.Error(), fixAddress)
	}
	f := out.Addresses[0]
	a := Address{
		Allocation: aws.ToString(f.AllocationId), Association: aws.ToString(f.AssociationId),
		Interface: aws.ToString(f.NetworkInterfaceId), Instance: aws.ToString(f.InstanceId), Tags: tagMap(f.Tags),
	}
	if a.IP, err = netip.ParseAddr(aws.ToString(f.PublicIp)); err != nil {
		return a, &actionError{action: action, resource: resource, err: err, reason: "it has no address", fix: fixAddress}
	}
	return a, nil
}

// AssociateAddress gives an instance an Elastic IP, and returns the address. It
// waits, at most until ctx ends, for an instance that EC2 still calls pending.
// What another instance or interface has is not taken from it (ErrBusy); that
// it lets it go is waited for a minute, since an instance that ends does. An
// address that the instance has already is fine.
//
// The instance loses the public address that it had, and with it every
// connection to the outside.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/elastic-ip-addresses-eip.html
func (e EC2) AssociateAddress(ctx context.Context, allocation, instance string) (netip.Addr, error) {
	const action = "ec2:AssociateAddress"
	e = e.moving()
	var last error // why the last request failed, which another may not
	for look := 1; ; look++ {
		a, err := e.Address(ctx, allocation)
		switch {
		case err != nil && ctx.Err() == nil:
			return netip.Addr{}, err
		case err != nil: // the time was up over that
		case a.Instance == instance:
			return a.IP, nil
		case !a.Free() && look >= takenLooks:
			return netip.Addr{}, taken(action, a)
		case !a.Free():
			last = taken(action, a)
		default:
			again, err := e.associate(ctx, allocation, instance)
			if err != nil {
				return netip.Addr{}, err
			}
			if again == nil {
				return a.IP, nil
			}
			if last == nil || ctx.Err() == nil {
				last = again // not that the time was up while asking
			}
		}
		if err := wait(ctx, e.pause); err != nil {
			if last == nil {
				last = err
			}
			return netip.Addr{}, &actionError{
				action: action, resource: "Elastic IP " + allocation, kind: ErrBusy, err: err,
				reason: "it is not yet the instance's (" + last.Error() + ")", fix: "the next run tries again",
			}
		}
	}
}

// associate asks once. again is why, where waiting may cure it.
func (e EC2) associate(ctx context.Context, allocation, instance string) (again, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	_, err = e.client.AssociateAddress(ctx, &ec2.AssociateAddressInput{
		AllocationId: &allocation, InstanceId: &instance, AllowReassociation: aws.Bool(false),
	})
	if err == nil {
		return nil, nil
	}
	explained := explainAddress(err, "ec2:AssociateAddress", "Elastic IP "+allocation+" to "+instance)
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return explained, nil // no answer: it may have been done all the same
	}
	switch code := api.ErrorCode(); {
	case code == "Resource.AlreadyAssociated": // another look says whose it is
		return explained, nil
	case code == "IncorrectInstanceState", code == "InvalidInstanceID" && strings.Contains(api.ErrorMessage(), "not in a valid state"):
		return explained, nil
	}
	return nil, explained
}

// taken is the error about an address that something else has.
func taken(action string, a Address) error {
	holder := "the instance " + a.Instance
	fix := "it is not taken away: end that instance, or aws ec2 disassociate-address --association-id " + a.Association
	if a.Instance == "" {
		holder = "the network interface " + a.Interface
		fix = "it is not taken away: name another address, or aws ec2 disassociate-address --association-id " + a.Association
	}
	return &actionError{
		action: action, resource: "Elastic IP " + a.Allocation, kind: ErrBusy, err: ErrBusy,
		reason: holder + " has it (" + a.IP.String() + ")", fix: fix,
	}
}

// DisassociateAddress takes an Elastic IP back from an instance. One that the
// instance does not have, or that is gone, is fine. Until AWS gives the
// instance another public address, which may take minutes, it reaches nothing
// outside.
func (e EC2) DisassociateAddress(ctx context.Context, allocation, instance string) error {
	e = e.moving()
	a, err := e.Address(ctx, allocation)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil || a.Instance != instance {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	_, err = e.client.DisassociateAddress(ctx, &ec2.DisassociateAddressInput{AssociationId: &a.Association})
	if api, ok := errors.AsType[smithy.APIError](err); ok && api.ErrorCode() == "InvalidAssociationID.NotFound" {
		return nil // an earlier try has done it, or somebody else has
	}
	return explainAddress(err, "ec2:DisassociateAddress", "Elastic IP "+allocation+" from "+instance)
}

// moving is e for requests around a change of the address they are sent from: a
// connection of before is dead after, so each has its own.
func (e EC2) moving() EC2 {
	o := e.client.Options()
	if client, ok := o.HTTPClient.(*awshttp.BuildableClient); ok {
		o.HTTPClient = client.WithTransportOptions(func(t *http.Transport) {
			t.DisableKeepAlives = true
			t.ResponseHeaderTimeout = movedAnswer
		})
	}
	e.client = ec2.New(o)
	return e
}

// explainAddress knows what is particular to Elastic IPs.
func explainAddress(err error, action, resource string) error {
	explained := explainSetup(err, action, resource)
	api, ok := errors.AsType[smithy.APIError](err)
	e, known := errors.AsType[*actionError](explained)
	if !ok || !known {
		return explained
	}
	switch api.ErrorCode() {
	case "InvalidAllocationID.NotFound", "InvalidAddress.NotFound":
		e.fix = fixAddress
	case "AuthFailure":
		e.kind, e.reason, e.fix = ErrNotFound, "it is not the account's ("+api.ErrorCode()+": "+api.ErrorMessage()+")", fixAddress
	case "Gateway.NotAttached":
		e.fix = "nothing outside reaches instances there: name a subnet whose VPC has an internet gateway under network: in the config"
	}
	return e
}
