package cloud

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// S3Options says which S3 to talk to, where that is not AWS in the
// deployment's region.
type S3Options struct {
	Region    string // of the bucket; "" means the deployment's
	Endpoint  string // "" means AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS
	PathStyle *bool  // nil: with an endpoint of one's own
}

// S3 returns a client. It sends no request. Checksums are sent where the
// caller asks for them and verified where it asks for them, so that servers
// that know none can be used.
func (c *Cloud) S3(o S3Options) (*s3.Client, error) {
	endpoint := c.endpoint("S3")
	if o.Endpoint != "" {
		endpoint = &o.Endpoint
	}
	region, err := c.region(o.Region, endpoint)
	if err != nil {
		return nil, err
	}
	return s3.NewFromConfig(c.cfg, func(so *s3.Options) {
		if c.o.HTTPClient == nil {
			// The store bounds each try by what it asks for: completing an
			// upload may take minutes, the rest must not.
			so.HTTPClient = boundedClient(0)
		}
		so.Region = region
		// A part is sent at once: to wait for "100 Continue" first costs a round
		// trip for each, and is of use only where requests are turned down.
		so.ContinueHeaderThresholdBytes = -1
		so.BaseEndpoint = endpoint
		so.UsePathStyle = endpoint != nil
		if o.PathStyle != nil {
			so.UsePathStyle = *o.PathStyle
		}
		so.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		so.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	}), nil
}
