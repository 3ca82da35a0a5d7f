package cloud

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
)

// Topics are those of Amazon SNS. A topic's ARN says its region.
type Topics struct{ c *Cloud }

// Topics sends no request.
func (c *Cloud) Topics() Topics { return Topics{c} }

func (t Topics) client(topicARN string) (*sns.Client, error) {
	p, err := t.c.Publisher(topicARN)
	if err != nil {
		return nil, err
	}
	return p.client, nil
}

// TopicExists reports whether there is a topic with that ARN.
func (t Topics) TopicExists(ctx context.Context, topicARN string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	client, err := t.client(topicARN)
	if err != nil {
		return false, err
	}
	_, err = client.GetTopicAttributes(ctx, &sns.GetTopicAttributesInput{TopicArn: &topicARN})
	return there(explainSetup(err, "sns:GetTopicAttributes", topicARN))
}

// A Subscription is one to a topic. Until its owner has confirmed it nothing
// is sent to it; after two days without that it is gone.
// https://docs.aws.amazon.com/sns/latest/api/API_Subscribe.html
type Subscription struct {
	Protocol, Endpoint string // "email", "you@example.com"
	Pending            bool
}

// Subscriptions lists those of a topic.
func (t Topics) Subscriptions(ctx context.Context, topicARN string) ([]Subscription, error) {
	client, err := t.client(topicARN)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	var list []Subscription
	pages := sns.NewListSubscriptionsByTopicPaginator(client, &sns.ListSubscriptionsByTopicInput{TopicArn: &topicARN})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, explainSetup(err, "sns:ListSubscriptionsByTopic", topicARN)
		}
		for _, s := range page.Subscriptions {
			arn := aws.ToString(s.SubscriptionArn)
			if arn == "Deleted" {
				continue // it is listed for some days after
			}
			list = append(list, Subscription{
				Protocol: aws.ToString(s.Protocol), Endpoint: aws.ToString(s.Endpoint), Pending: arn == "PendingConfirmation",
			})
		}
	}
	return list, nil
}

// Subscribe has SNS send an address the mail with which it confirms that it
// wants what the topic sends. One that has confirmed gets none.
func (t Topics) Subscribe(ctx context.Context, topicARN, email string) error {
	client, err := t.client(topicARN)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	_, err = client.Subscribe(ctx, &sns.SubscribeInput{TopicArn: &topicARN, Protocol: aws.String("email"), Endpoint: &email})
	return explainSetup(err, "sns:Subscribe", topicARN)
}

// Publish sends one message to a topic, within the limits of Publisher's.
func (t Topics) Publish(ctx context.Context, topicARN, subject, body string) error {
	p, err := t.c.Publisher(topicARN)
	if err != nil {
		return err
	}
	err = p.Publish(ctx, subject, body)
	if _, ok := errors.AsType[*actionError](err); !ok {
		return err // it breaks a limit
	}
	return explainSetup(err, "", "")
}
