package cloud

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
)

// Limits of what SNS takes for e-mail. Source: Amazon SNS quotas, and Publish
// in its API reference.
const (
	subjectMax = 99     // "less than 100 characters", ASCII, no control characters
	messageMax = 262144 // bytes, subject and attributes included
	requestMax = 30 * time.Second
)

// A Publisher sends to one SNS topic.
type Publisher struct {
	topic  string
	client *sns.Client
}

// Publisher returns one for the topic with that ARN. It sends no request.
func (c *Cloud) Publisher(topicARN string) (*Publisher, error) {
	if arnRegion(topicARN) == "" {
		return nil, fmt.Errorf("topic %q is no ARN: write arn:aws:sns:REGION:ACCOUNT:NAME", topicARN)
	}
	endpoint := c.endpoint("SNS")
	return &Publisher{topicARN, sns.NewFromConfig(c.cfg, func(o *sns.Options) {
		o.Region = arnRegion(topicARN)
		o.BaseEndpoint = endpoint
	})}, nil
}

// Topic is the topic's ARN.
func (p *Publisher) Topic() string { return p.topic }

// Publish sends one message. The limits are checked first: an e-mail that SNS
// turns down is a mail that nobody gets.
func (p *Publisher) Publish(ctx context.Context, subject, body string) error {
	if err := checkMessage(subject, body); err != nil {
		return fmt.Errorf("sns:Publish %s: %w", p.topic, err)
	}
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	_, err := p.client.Publish(ctx, &sns.PublishInput{
		TopicArn: aws.String(p.topic), Subject: aws.String(subject), Message: aws.String(body),
	})
	return Explain(err, "sns:Publish", p.topic)
}

func checkMessage(subject, body string) error {
	if subject == "" || len(subject) > subjectMax {
		return fmt.Errorf("the subject has %d characters: 1 to %d are possible", len(subject), subjectMax)
	}
	for _, r := range subject {
		if r < ' ' || r > '~' {
			return fmt.Errorf("the subject holds %q: only printable ASCII is possible", r)
		}
	}
	switch {
	case body == "":
		return errors.New("the message is empty")
	case len(subject)+len(body) > messageMax:
		return fmt.Errorf("subject and message have %d bytes: %d are possible", len(subject)+len(body), messageMax)
	case !utf8.ValidString(body):
		return errors.New("the message is not UTF-8")
	}
	return nil
}
