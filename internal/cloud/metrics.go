package cloud

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/schemas"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/smithy-go/transport/http/protocol/awsquery"
)

// MetricsNamespace is where metrics are in CloudWatch.
const MetricsNamespace = "mayfly"

// A Metric is one value of Amazon CloudWatch.
type Metric struct {
	Name       string
	Unit       MetricUnit
	Value      float64
	Dimensions [][2]string // name and value
}

// A MetricUnit is CloudWatch's word for what a value counts.
type MetricUnit string

// The units.
const (
	Count   MetricUnit = "Count"
	Bytes   MetricUnit = "Bytes"
	Seconds MetricUnit = "Seconds"
)

// maxMetrics is what one request takes.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html
const maxMetrics = 1000

// PutMetrics writes metrics of one moment.
func (c *Cloud) PutMetrics(ctx context.Context, at time.Time, metrics []Metric) error {
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	endpoint := c.endpoint("CLOUDWATCH")
	region, err := c.region("", endpoint)
	if err != nil {
		return err
	}
	client := cloudwatch.NewFromConfig(c.cfg, func(o *cloudwatch.Options) {
		o.Region, o.BaseEndpoint = region, endpoint
		// The oldest of CloudWatch's protocols: servers other than AWS know no
		// other.
		o.Protocol = awsquery.New(schemas.GraniteServiceVersion20100801)
	})
	for len(metrics) > 0 {
		n := min(len(metrics), maxMetrics)
		in := &cloudwatch.PutMetricDataInput{Namespace: aws.String(MetricsNamespace)}
		for _, m := range metrics[:n] {
			d := types.MetricDatum{MetricName: &m.Name, Unit: types.StandardUnit(m.Unit), Value: &m.Value, Timestamp: &at}
			for _, dim := range m.Dimensions {
				d.Dimensions = append(d.Dimensions, types.Dimension{Name: aws.String(dim[0]), Value: aws.String(dim[1])})
			}
			in.MetricData = append(in.MetricData, d)
		}
		if _, err := client.PutMetricData(ctx, in); err != nil {
			return Explain(err, "cloudwatch:PutMetricData", MetricsNamespace)
		}
		metrics = metrics[n:]
	}
	return nil
}
