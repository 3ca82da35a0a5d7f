package cloud_test

import (
	"testing"

	"mayfly/internal/awstest"
	"mayfly/internal/cloud"
)

func TestTopicExists(t *testing.T) {
	t.Parallel()
	s, c := newStub(t)
	topic := awstest.TopicARN("weekly")
	s.on("GetTopicAttributes", reply{})
	has, err := c.Topics().TopicExists(t.Context(), topic)
	same(t, has, true, err)
	s.on("GetTopicAttributes", reply{status: 404, code: "NotFound", said: "Topic does not exist"})
	has, err = c.Topics().TopicExists(t.Context(), topic)
	same(t, has, false, err)
	_, err = c.Topics().TopicExists(t.Context(), "weekly")
	saysAll(t, err, `topic "weekly" is no ARN`)
}

func TestSubscriptions(t *testing.T) {
	t.Parallel()
	s, c := newStub(t)
	topic := awstest.TopicARN("weekly")
	one := func(arn, endpoint string) string {
		return "<member><SubscriptionArn>" + arn + "</SubscriptionArn><Protocol>email</Protocol><Endpoint>" + endpoint + "</Endpoint></member>"
	}
	s.on("ListSubscriptionsByTopic",
		reply{body: "<Subscriptions>" + one(topic+":1", "a@example.com") + one("Deleted", "gone@example.com") + "</Subscriptions><NextToken>2</NextToken>"},
		reply{body: "<Subscriptions>" + one("PendingConfirmation", "b@example.com") + "</Subscriptions>"})
	got, err := c.Topics().Subscriptions(t.Context(), topic)
	same(t, got, []cloud.Subscription{{Protocol: "email", Endpoint: "a@example.com"}, {Protocol: "email", Endpoint: "b@example.com", Pending: true}}, err)
	if n := s.last("ListSubscriptionsByTopic").form.Get("NextToken"); n != "2" {
		t.Errorf("the last page asked for is %q", n)
	}
}

func TestSubscribe(t *testing.T) {
	t.Parallel()
	s, c := newStub(t)
	topic := awstest.TopicARN("weekly")
	s.on("Subscribe", reply{body: "<SubscriptionArn>pending confirmation</SubscriptionArn>"})
	if err := c.Topics().Subscribe(t.Context(), topic, "a@example.com"); err != nil {
		t.Error(err)
	}
	if f := s.last("Subscribe").form; f.Get("Protocol") != "email" || f.Get("Endpoint") != "a@example.com" || f.Get("TopicArn") != topic {
		t.Errorf("asked for %v", f)
	}
	s.on("Subscribe", fails("InvalidParameter", "Invalid parameter: Email address"))
	saysAll(t, c.Topics().Subscribe(t.Context(), topic, "a"), "sns:Subscribe "+topic+": not accepted", "Email address")
}

func TestTopicsPublish(t *testing.T) {
	t.Parallel()
	s, c := start(t)
	topic := awstest.TopicARN("onlinebackup")
	if err := c.Topics().Publish(t.Context(), topic, "a test", "body"); err != nil || len(s.Messages()) != 1 {
		t.Error(err)
	}
	saysAll(t, c.Topics().Publish(t.Context(), topic, "Grüße", "body"), "only printable ASCII")
	saysAll(t, c.Topics().Publish(t.Context(), "onlinebackup", "s", "b"), "is no ARN")
}
