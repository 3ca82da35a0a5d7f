package cloud

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/smithy-go"
)

// A SpotPrice is what an hour of an instance type costs in a zone now.
type SpotPrice struct {
	Type, Zone string
	USD        float64
	Since      time.Time
}

// SpotPrices asks for the current spot prices of types, for Linux: one per
// type and zone that offers it.
func (e EC2) SpotPrices(ctx context.Context, names []string) ([]SpotPrice, error) {
	if len(names) == 0 {
		return nil, nil // EC2 would list all of them
	}
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	// From now on means: the price that is in force now.
	// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSpotPriceHistory.html
	pages := ec2.NewDescribeSpotPriceHistoryPaginator(e.client, &ec2.DescribeSpotPriceHistoryInput{
		InstanceTypes: typesOf(names), ProductDescriptions: []string{"Linux/UNIX"}, StartTime: aws.Time(time.Now().UTC()),
	})
	var list []SpotPrice
	seen := map[string]bool{}
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, explainSetup(err, "ec2:DescribeSpotPriceHistory", "the spot price")
		}
		for _, p := range page.SpotPriceHistory {
			price := SpotPrice{Type: string(p.InstanceType), Zone: aws.ToString(p.AvailabilityZone), Since: aws.ToTime(p.Timestamp)}
			if price.USD, err = strconv.ParseFloat(aws.ToString(p.SpotPrice), 64); err != nil {
				return nil, fmt.Errorf("ec2:DescribeSpotPriceHistory: %q is not a price", aws.ToString(p.SpotPrice))
			}
			if key := price.Type + " " + price.Zone; !seen[key] { // newest first
				seen[key] = true
				list = append(list, price)
			}
		}
	}
	return list, nil
}

// Console is what an instance has written to its serial console, 64 KiB at
// most: it may hold any bytes. ErrNotFound: there is no such instance, or it
// has been gone for an hour.
func (e EC2) Console(ctx context.Context, instance string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	out, err := e.client.GetConsoleOutput(ctx, &ec2.GetConsoleOutputInput{InstanceId: &instance, Latest: aws.Bool(true)})
	if api, ok := errors.AsType[smithy.APIError](err); ok && api.ErrorCode() == "UnsupportedOperation" {
		// Only Nitro instances know Latest. Others have what was there shortly
		// after a start or an end.
		// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetConsoleOutput.html
		out, err = e.client.GetConsoleOutput(ctx, &ec2.GetConsoleOutputInput{InstanceId: &instance})
	}
	if err != nil {
		return "", explainSetup(err, "ec2:GetConsoleOutput", "instance "+instance)
	}
	return decodeConsole(aws.ToString(out.Output))
}

func decodeConsole(output string) (string, error) {
	b, err := base64.StdEncoding.DecodeString(output)
	if err != nil {
		return "", fmt.Errorf("ec2:GetConsoleOutput: %w", err)
	}
	return string(b), nil
}
