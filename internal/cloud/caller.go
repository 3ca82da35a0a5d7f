package cloud

import (
	"context"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
)

// A Caller is whom AWS takes these credentials for.
type Caller struct {
	Account, Partition string // "123456789012", "aws"
	ARN                string
}

// Caller asks AWS who is calling: the first question on a person's own
// machine, whose errors say for every way in which credentials can be missing
// what to do. It needs no permission.
func (c *Cloud) Caller(ctx context.Context) (Caller, error) {
	const action, resource = "sts:GetCallerIdentity", "these credentials"
	endpoint := c.endpoint("STS")
	region, err := c.region("", endpoint)
	if err != nil {
		return Caller{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	out, err := sts.NewFromConfig(c.cfg, func(o *sts.Options) {
		o.Region = region
		o.BaseEndpoint = endpoint
	}).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		err = explainSetup(err, action, resource)
		e, _ := errors.AsType[*actionError](err)
		if api, ok := errors.AsType[smithy.APIError](err); ok && e != nil && api.ErrorCode() == "InvalidClientTokenId" {
			// What a region that the account has not enabled answers, too.
			// https://docs.aws.amazon.com/general/latest/gr/rande-manage.html
			e.fix += ", and that the account has enabled the region " + region
		}
		return Caller{}, err
	}
	who := Caller{Account: aws.ToString(out.Account), ARN: aws.ToString(out.Arn), Partition: "aws"}
	if f := strings.SplitN(who.ARN, ":", 3); len(f) == 3 && f[1] != "" {
		who.Partition = f[1]
	}
	return who, nil
}
