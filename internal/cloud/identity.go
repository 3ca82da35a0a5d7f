package cloud

import (
	"context"
	"errors"
	"net"
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

const (
	identityAction = "sts:GetCallerIdentity"
	ofCredentials  = "these credentials"
)

// Caller asks AWS who is calling: the first question on a person's own
// machine, whose errors say for every way in which credentials can be missing
// what to do. It needs no permission.
func (c *Cloud) Caller(ctx context.Context) (Caller, error) {
	who, region, err := c.callerIdentity(ctx, func(o *sts.Options) { o.Retryer = impatient{c.newRetryer()} })
	if err == nil || region == "" {
		return who, err
	}
	refused := forbidden(err)
	err = explainSetup(err, identityAction, ofCredentials)
	e, _ := errors.AsType[*actionError](err)
	if refused && e != nil { // it needs no permission that could be missing
		e.kind, e.reason, e.fix = nil, "the credentials are not accepted (HTTP status 403, without a reason)", "check AWS_PROFILE, the access key, and the endpoint"
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok && e != nil && api.ErrorCode() == "InvalidClientTokenId" {
		// What a region that the account has not enabled answers, too.
		// https://docs.aws.amazon.com/general/latest/gr/rande-manage.html
		e.fix += ", and that the account has enabled the region " + region
	}
	return Caller{}, err
}

// callerIdentity returns the SDK's error, and the region that was asked.
func (c *Cloud) callerIdentity(ctx context.Context, opts ...func(*sts.Options)) (who Caller, region string, err error) {
	endpoint := c.endpoint("STS")
	if region, err = c.region("", endpoint); err != nil {
		return Caller{}, "", err
	}
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	opts = append(opts, func(o *sts.Options) {
		o.Region = region
		o.BaseEndpoint = endpoint
	})
	out, err := sts.NewFromConfig(c.cfg, opts...).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return Caller{}, region, err
	}
	who = Caller{Account: aws.ToString(out.Account), ARN: aws.ToString(out.Arn), Partition: "aws"}
	if f := strings.SplitN(who.ARN, ":", 3); len(f) == 3 && f[1] != "" {
		who.Partition = f[1]
	}
	return who, region, nil
}

// An impatient retryer does not try again where a name does not exist: on a
// person's own machine that is a region with a typing error, not a network
// that is still coming up.
type impatient struct{ aws.Retryer }

// IsErrorRetryable implements aws.Retryer.
func (r impatient) IsErrorRetryable(err error) bool {
	dns, ok := errors.AsType[*net.DNSError](err)
	return !(ok && dns.IsNotFound) && r.Retryer.IsErrorRetryable(err)
}

// Account returns the account that the credentials belong to, and its
// partition ("aws", "aws-cn"). It needs no permission.
func (c *Cloud) Account(ctx context.Context) (account, partition string, err error) {
	who, region, err := c.callerIdentity(ctx)
	if err != nil && region == "" {
		return "", "", err
	}
	return who.Account, who.Partition, Explain(err, identityAction, ofCredentials)
}

// TopicARN is the ARN of the topic of that name, in the region in use and the
// credentials' account.
func (c *Cloud) TopicARN(ctx context.Context, name string) (string, error) {
	region, err := c.region("", c.endpoint("SNS"))
	if err != nil {
		return "", err
	}
	account, partition, err := c.Account(ctx)
	if err != nil {
		return "", err
	}
	return "arn:" + partition + ":sns:" + region + ":" + account + ":" + name, nil
}
