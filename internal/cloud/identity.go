package cloud

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// Account returns the account that the credentials belong to, and its
// partition ("aws", "aws-cn"). It needs no permission.
func (c *Cloud) Account(ctx context.Context) (account, partition string, err error) {
	endpoint := c.endpoint("STS")
	region, err := c.region("", endpoint)
	if err != nil {
		return "", "", err
	}
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	out, err := sts.NewFromConfig(c.cfg, func(o *sts.Options) {
		o.Region = region
		o.BaseEndpoint = endpoint
	}).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", "", Explain(err, "sts:GetCallerIdentity", "these credentials")
	}
	partition = "aws"
	if f := strings.SplitN(aws.ToString(out.Arn), ":", 3); len(f) == 3 && f[1] != "" {
		partition = f[1]
	}
	return aws.ToString(out.Account), partition, nil
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
