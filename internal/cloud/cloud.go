// Package cloud is the only place that builds AWS SDK clients. What it hands
// out has bounded waits and errors that name the action, the resource and what
// to do.
package cloud

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/smithy-go/middleware"
)

const (
	metaTime    = 2 * time.Second // to learn the region: on an instance, metadata answers at once
	attempts    = 5
	maxBackoff  = 10 * time.Second
	connectTime = 5 * time.Second
	// The caller's context bounds what is shorter.
	answerTime = 60 * time.Second
	// noRegion stands in where a region is part of the signature only: servers
	// other than AWS take this one.
	noRegion = "us-east-1"
)

// Options says which AWS to talk to.
type Options struct {
	Region   string // the config's; "" means: environment, profile, instance
	Endpoint string // of every service, for tests; "" means: environment, AWS
	// Getenv reads AWS_ACCESS_KEY_ID, AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL
	// and their kin. nil: there is no environment.
	Getenv func(string) string
	// HTTPClient replaces the transport; nil: one with bounded waits.
	HTTPClient aws.HTTPClient
	// MaxBackoff is the longest pause between two of the 5 tries of a request;
	// 0 means 10 s.
	MaxBackoff time.Duration
}

// A Cloud makes clients. It is safe for concurrent use.
type Cloud struct {
	cfg    aws.Config
	role   *role // nil: the credentials cannot be fetched anew
	o      Options
	getenv func(string) string
}

// Load finds region and credentials, in the SDK's order: environment, profile,
// container, instance role. Credentials are fetched when first used.
func Load(ctx context.Context, o Options) (*Cloud, error) {
	c := &Cloud{o: o, getenv: o.Getenv}
	if c.getenv == nil {
		c.getenv = func(string) string { return "" }
	}
	if c.o.MaxBackoff == 0 {
		c.o.MaxBackoff = maxBackoff
	}
	meta := metadataClient(c.getenv, nil)
	cfg, err := config.LoadDefaultConfig(ctx, c.options(meta)...)
	if err != nil {
		return nil, explainLoad(err)
	}
	c.cfg = cfg
	if cache, ok := cfg.Credentials.(*aws.CredentialsCache); ok {
		c.role = &role{cache: cache}
		c.cfg.Credentials = c.role
	}
	if cfg.Region == "" {
		ctx, cancel := context.WithTimeout(ctx, metaTime)
		defer cancel()
		// No answer is no error: whoever needs a region says that none is known.
		if out, err := meta.GetRegion(ctx, &imds.GetRegionInput{}); err == nil {
			c.cfg.Region = out.Region
		}
	}
	return c, nil
}

func (c *Cloud) options(meta *imds.Client) []func(*config.LoadOptions) error {
	client := c.o.HTTPClient
	if client == nil {
		client = boundedClient(answerTime)
	}
	opts := []func(*config.LoadOptions) error{
		config.WithHTTPClient(client),
		config.WithRetryer(c.newRetryer),
		config.WithAPIOptions([]func(*middleware.Stack) error{keepReason}),
		config.WithEC2IMDSClientEnableState(metadataState(c.getenv)),
		config.WithEC2RoleCredentialOptions(func(o *ec2rolecreds.Options) { o.Client = meta }),
		config.WithRequestChecksumCalculation(aws.RequestChecksumCalculationWhenRequired),
		config.WithResponseChecksumValidation(aws.ResponseChecksumValidationWhenRequired),
	}
	if region := first(c.o.Region, c.getenv("AWS_REGION"), c.getenv("AWS_DEFAULT_REGION")); region != "" {
		opts = append(opts, config.WithRegion(region))
	}
	if profile := c.getenv("AWS_PROFILE"); profile != "" {
		opts = append(opts, config.WithSharedConfigProfile(profile))
	}
	if id, key := c.getenv("AWS_ACCESS_KEY_ID"), c.getenv("AWS_SECRET_ACCESS_KEY"); id != "" && key != "" {
		opts = append(opts, config.WithCredentialsProvider(
			credentials.NewStaticCredentialsProvider(id, key, c.getenv("AWS_SESSION_TOKEN"))))
	}
	return opts
}

// Region is the region in use, "" when none is known.
func (c *Cloud) Region() string { return c.cfg.Region }

// endpoint is the address of a service when it is not AWS's own: nil else.
// name is the service's part of the variable, "SNS".
func (c *Cloud) endpoint(name string) *string {
	if e := first(c.o.Endpoint, c.getenv("AWS_ENDPOINT_URL_"+name), c.getenv("AWS_ENDPOINT_URL")); e != "" {
		return &e
	}
	return nil
}

// region is the one for a service, given the one a resource's ARN names.
func (c *Cloud) region(fromARN string, endpoint *string) (string, error) {
	region := first(fromARN, c.cfg.Region)
	if region == "" && endpoint != nil {
		region = noRegion
	}
	if region == "" {
		return "", errors.New("no AWS region is known: set region in the config, or AWS_REGION")
	}
	return region, nil
}

func metadataState(getenv func(string) string) imds.ClientEnableState {
	if strings.EqualFold(getenv("AWS_EC2_METADATA_DISABLED"), "true") {
		return imds.ClientDisabled
	}
	return imds.ClientEnabled
}

// newRetryer tries 5 times. The SDK's token bucket is left out: it would make
// one service's bad minute exhaust the tries of later, unrelated requests.
func (c *Cloud) newRetryer() aws.Retryer {
	return renewing{
		Standard: retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts = attempts
			o.MaxBackoff = c.o.MaxBackoff
			o.RateLimiter = ratelimit.None
			// SNS's own word for it, which the SDK does not take for a throttle.
			// Source: ThrottledException in the SNS API's model.
			o.Retryables = append(o.Retryables, retry.RetryableErrorCode{Codes: map[string]struct{}{"Throttled": {}}})
		}),
		renew: func() bool { return c.role != nil && c.role.renew() },
	}
}

// boundedClient gives up on a connection that is not made, and on an answer
// that does not begin within the time given; 0 is for ever.
func boundedClient(answer time.Duration) aws.HTTPClient {
	return awshttp.NewBuildableClient().
		WithDialerOptions(func(d *net.Dialer) { d.Timeout = connectTime }).
		WithTransportOptions(func(t *http.Transport) {
			t.TLSHandshakeTimeout = connectTime
			t.ResponseHeaderTimeout = answer
			t.MaxIdleConnsPerHost = 16
		})
}

// first returns the first that is not empty.
func first(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}

// arnRegion is the fourth field of an ARN, "" when s is none.
func arnRegion(s string) string {
	f := strings.SplitN(s, ":", 6)
	if len(f) < 6 || f[0] != "arn" {
		return ""
	}
	return f[3]
}
