package cloud_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"mayfly/internal/cloud"
)

// eipXML is the Elastic IP as EC2 describes it, with these elements.
func eipXML(more ...string) reply {
	return reply{body: "<addressesSet><item><publicIp>203.0.113.7</publicIp><allocationId>eipalloc-1</allocationId><domain>vpc</domain>" + strings.Join(more, "") + "</item></addressesSet>"}
}

func heldBy(instance, network string) reply {
	s := "<associationId>eipassoc-1</associationId><networkInterfaceId>" + network + "</networkInterfaceId>"
	if instance != "" {
		s += "<instanceId>" + instance + "</instanceId>"
	}
	return eipXML(s)
}

var (
	elastic = netip.MustParseAddr("203.0.113.7")
	noEIP   = fails("InvalidAllocationID.NotFound", "The allocation ID 'eipalloc-1' does not exist")
)

func TestAddress(t *testing.T) {
	t.Parallel()
	s, c := newStub(t)
	ec2 := must(c.EC2())
	s.on("DescribeAddresses", heldBy("i-1", "eni-1"))
	got, err := ec2.Address(t.Context(), "eipalloc-1")
	same(t, got, cloud.Address{Allocation: "eipalloc-1", IP: elastic, Association: "eipassoc-1", Interface: "eni-1", Instance: "i-1", Tags: map[string]string{}}, err)
	if got.Free() {
		t.Error("an instance has it")
	}
	if f := s.last("DescribeAddresses").form; f.Get("AllocationId.1") != "eipalloc-1" {
		t.Errorf("asked for %v", f)
	}
	s.on("DescribeAddresses", eipXML("<tagSet><item><key>a</key><value>b</value></item></tagSet>"))
	got, err = ec2.Address(t.Context(), "eipalloc-1")
	same(t, got, cloud.Address{Allocation: "eipalloc-1", IP: elastic, Tags: map[string]string{"a": "b"}}, err)
	if !got.Free() {
		t.Error("nothing has it")
	}
	for _, none := range []reply{noEIP, {body: "<addressesSet/>"}, fails("AuthFailure", "The address 'eipalloc-1' does not belong to you.")} {
		s.on("DescribeAddresses", none)
		_, err = ec2.Address(t.Context(), "eipalloc-1")
		saysAll(t, err, "ec2:DescribeAddresses Elastic IP eipalloc-1: it ", "aws ec2 describe-addresses lists them")
		if !errors.Is(err, cloud.ErrNotFound) {
			t.Errorf("%v is no ErrNotFound", err)
		}
	}
	s.on("DescribeAddresses", fails("UnauthorizedOperation", "no"))
	_, err = ec2.Address(t.Context(), "eipalloc-1")
	saysAll(t, err, "grant ec2:DescribeAddresses on Elastic IP eipalloc-1")
}

func TestAssociateAddress(t *testing.T) {
	t.Parallel()
	done := reply{body: "<return>true</return><associationId>eipassoc-1</associationId>"}
	free, ours, theirs := eipXML(), heldBy("i-1", "eni-1"), heldBy("i-2", "eni-2")
	taken := fails("Resource.AlreadyAssociated", "resource eipalloc-1 is already associated with associate-id eipassoc-1")
	pending := fails("InvalidInstanceID", "The pending-instance-creation instance to which 'eni-1' is attached is not in a valid state for this operation")
	for name, x := range map[string]struct {
		looks  []reply
		answer []reply
		asked  int // requests, the SDK's own tries included
		want   []string
		kind   error
	}{
		"free":          {looks: []reply{free}, answer: []reply{done}, asked: 1},
		"has it":        {looks: []reply{ours}},
		"throttled":     {looks: []reply{free}, answer: []reply{throttled, done}, asked: 2},
		"still pending": {looks: []reply{free}, answer: []reply{pending, fails("IncorrectInstanceState", "not running"), done}, asked: 3},
		"no answer":     {looks: []reply{free, ours}, answer: []reply{{lose: true}}, asked: 5},
		"seen late":     {looks: []reply{free, free, ours}, answer: []reply{taken}, asked: 2},
		"lets it go":    {looks: []reply{theirs, theirs, free}, answer: []reply{done}, asked: 1},

		"another's":       {looks: []reply{theirs}, kind: cloud.ErrBusy, want: []string{"ec2:AssociateAddress Elastic IP eipalloc-1: the instance i-2 has it (203.0.113.7): it is not taken away", "disassociate-address --association-id eipassoc-1"}},
		"a gateway's":     {looks: []reply{heldBy("", "eni-3")}, kind: cloud.ErrBusy, want: []string{"the network interface eni-3 has it", "name another address"}},
		"taken just now":  {looks: []reply{free, theirs}, answer: []reply{taken}, asked: 1, kind: cloud.ErrBusy, want: []string{"the instance i-2 has it"}},
		"does not exist":  {looks: []reply{noEIP}, kind: cloud.ErrNotFound, want: []string{"Elastic IP eipalloc-1: it does not exist"}},
		"denied":          {looks: []reply{free}, answer: []reply{fails("UnauthorizedOperation", "no")}, asked: 1, kind: cloud.ErrDenied, want: []string{"grant ec2:AssociateAddress on Elastic IP eipalloc-1 to i-1"}},
		"denied to look":  {looks: []reply{fails("UnauthorizedOperation", "no")}, kind: cloud.ErrDenied, want: []string{"grant ec2:DescribeAddresses"}},
		"no way out":      {looks: []reply{free}, answer: []reply{fails("Gateway.NotAttached", "Network vpc-1 is not attached to any internet gateway")}, asked: 1, want: []string{"vpc-1 is not attached", "name a subnet whose VPC has an internet gateway"}},
		"two interfaces":  {looks: []reply{free}, answer: []reply{fails("InvalidInstanceID", "There are multiple interfaces attached to instance 'i-1'")}, asked: 1, want: []string{"multiple interfaces"}},
		"pending forever": {looks: []reply{free}, answer: []reply{pending}, kind: cloud.ErrBusy, want: []string{"Elastic IP eipalloc-1: it is not yet the instance's (", "is not in a valid state", "the next run tries again"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c := newStub(t)
			s.on("DescribeAddresses", x.looks...)
			s.on("AssociateAddress", x.answer...)
			ctx := t.Context()
			if strings.HasSuffix(name, "forever") {
				ctx = soon(t)
			}
			ip, err := must(c.EC2()).AssociateAddress(ctx, "eipalloc-1", "i-1")
			if x.want == nil {
				same(t, ip, elastic, err)
			} else if saysAll(t, err, x.want...); x.kind != nil && !errors.Is(err, x.kind) {
				t.Errorf("%v is no: %v", err, x.kind)
			}
			asked := s.requests("AssociateAddress")
			if x.asked != 0 && len(asked) != x.asked || x.answer == nil && len(asked) > 0 {
				t.Errorf("asked %d times, want %d", len(asked), x.asked)
			}
			for _, r := range asked {
				if r.form.Get("AllocationId") != "eipalloc-1" || r.form.Get("InstanceId") != "i-1" || r.form.Get("AllowReassociation") != "false" {
					t.Errorf("asked for %v", r.form)
				}
				if !r.http.Close {
					t.Error("the connection is kept, and will be dead")
				}
			}
		})
	}
}

func TestDisassociateAddress(t *testing.T) {
	t.Parallel()
	done := reply{body: "<return>true</return>"}
	ours := heldBy("i-1", "eni-1")
	for name, x := range map[string]struct {
		look, answer reply
		asked        int
		want         string
	}{
		"has it":         {look: ours, answer: done, asked: 1},
		"free":           {look: eipXML()},
		"another's":      {look: heldBy("i-2", "eni-2")},
		"a gateway's":    {look: heldBy("", "eni-2")},
		"released":       {look: noEIP},
		"done meanwhile": {look: ours, answer: fails("InvalidAssociationID.NotFound", "The association ID 'eipassoc-1' does not exist"), asked: 1},
		"denied":         {look: ours, answer: fails("UnauthorizedOperation", "no"), asked: 1, want: "grant ec2:DisassociateAddress on Elastic IP eipalloc-1 from i-1"},
		"denied to look": {look: fails("UnauthorizedOperation", "no"), want: "grant ec2:DescribeAddresses"},
	} {
		s, c := newStub(t)
		s.on("DescribeAddresses", x.look)
		s.on("DisassociateAddress", x.answer)
		err := must(c.EC2()).DisassociateAddress(t.Context(), "eipalloc-1", "i-1")
		if x.want != "" {
			saysAll(t, err, x.want)
		} else if err != nil {
			t.Error(fmt.Errorf("%s: %w", name, err))
		}
		asked := s.requests("DisassociateAddress")
		if len(asked) != x.asked {
			t.Errorf("%s: asked %d times", name, len(asked))
		}
		for _, r := range asked {
			if r.form.Get("AssociationId") != "eipassoc-1" || !r.http.Close {
				t.Errorf("%s: asked for %v", name, r.form)
			}
		}
	}
}
