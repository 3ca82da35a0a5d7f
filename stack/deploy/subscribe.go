package deploy

import (
	"context"
	"strings"

	"mayfly/internal/cloud"
)

// Topics are what is used of SNS; cloud.Topics is the real one.
type Topics interface {
	Subscriptions(ctx context.Context, topicARN string) ([]cloud.Subscription, error)
	Subscribe(ctx context.Context, topicARN, email string) error
}

var _ Topics = cloud.Topics{}

// Subscribers says of each address whether it has confirmed that it wants the
// topic's mail. One whose subscription has expired, since nobody confirmed it
// in two days, is asked again; that is what again says.
type Subscribers struct {
	Confirmed, Pending, Again []string
	// Others is how many confirmed subscriptions there are besides.
	Others int
}

// Subscribe sees to it that every address has a subscription to the topic.
func Subscribe(ctx context.Context, t Topics, topicARN string, emails []string) (Subscribers, error) {
	var s Subscribers
	list, err := t.Subscriptions(ctx, topicARN)
	if err != nil {
		return s, err
	}
	pending := map[string]bool{}
	for _, sub := range list {
		key := strings.ToLower(sub.Endpoint)
		wanted := false
		for _, e := range emails {
			wanted = wanted || sub.Protocol == "email" && strings.ToLower(e) == key
		}
		switch {
		case wanted:
			// One that is confirmed counts, whatever was begun beside it.
			if was, seen := pending[key]; !seen || was {
				pending[key] = sub.Pending
			}
		case !sub.Pending:
			s.Others++
		}
	}
	for _, e := range emails {
		waiting, seen := pending[strings.ToLower(e)]
		switch {
		case !seen:
			if err := t.Subscribe(ctx, topicARN, e); err != nil {
				return s, err
			}
			s.Again = append(s.Again, e)
			s.Pending = append(s.Pending, e)
		case waiting:
			s.Pending = append(s.Pending, e)
		default:
			s.Confirmed = append(s.Confirmed, e)
		}
	}
	return s, nil
}
