package cloud

import (
	"context"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"
	"github.com/aws/smithy-go"
)

const fixZone = "check the id and the account; aws route53 list-hosted-zones lists them"

// Zones are the account's hosted zones, of Amazon Route 53.
type Zones struct{ client *route53.Client }

// Zones sends no request.
func (c *Cloud) Zones() (Zones, error) {
	endpoint := c.endpoint("ROUTE_53")
	region, err := c.region("", endpoint) // it says which partition
	if err != nil {
		return Zones{}, err
	}
	return Zones{route53.NewFromConfig(c.cfg, func(o *route53.Options) {
		o.Region = region
		o.BaseEndpoint = endpoint
	})}, nil
}

// A HostedZone is one of Route 53.
type HostedZone struct {
	Name    string // of the domain, without a dot at its end
	Private bool   // it is known in VPCs only
}

// Holds reports whether a DNS name can be in the zone.
func (z HostedZone) Holds(name string) bool {
	name = normal(name)
	return name == z.Name || strings.HasSuffix(name, "."+z.Name)
}

// Zone asks for one by its id. ErrNotFound: the account has none.
func (z Zones) Zone(ctx context.Context, id string) (HostedZone, error) {
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	out, err := z.client.GetHostedZone(ctx, &route53.GetHostedZoneInput{Id: &id})
	if err != nil {
		return HostedZone{}, explainZone(err, "route53:GetHostedZone", "hosted zone "+id)
	}
	found := HostedZone{Name: normal(aws.ToString(out.HostedZone.Name))}
	if c := out.HostedZone.Config; c != nil {
		found.Private = c.PrivateZone
	}
	return found, nil
}

// normal is a DNS name as names are compared: Route 53 answers with a dot at
// the end, and with * as \052.
// https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DomainNameFormat.html
func normal(name string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimSuffix(name, ".")), `\052`, "*")
}

// explainZone knows the codes that are Route 53's own.
// https://docs.aws.amazon.com/Route53/latest/APIReference/API_ChangeResourceRecordSets.html#API_ChangeResourceRecordSets_Errors
func explainZone(err error, action, resource string) error {
	explained := explainSetup(err, action, resource)
	api, ok := errors.AsType[smithy.APIError](err)
	e, known := errors.AsType[*actionError](explained)
	if !ok || !known {
		return explained
	}
	switch said := api.ErrorCode() + ": " + api.ErrorMessage(); api.ErrorCode() {
	case "NoSuchHostedZone":
		e.kind, e.reason, e.fix = ErrNotFound, "there is no such hosted zone ("+said+")", fixZone
	case "InvalidInput":
		e.reason, e.fix = "not accepted ("+said+")", fixZone
	case "PriorRequestNotComplete":
		e.kind, e.reason, e.fix = ErrBusy, "Route 53 is busy with other changes ("+said+")", "try again later"
	case "InvalidChangeBatch":
		if batch, ok := errors.AsType[*types.InvalidChangeBatch](err); ok && len(batch.Messages) > 0 {
			said = strings.Join(batch.Messages, "; ")
		}
		e.reason, e.fix = "not accepted ("+said+")", "check that the name is one of the zone's domain"
	}
	return e
}
