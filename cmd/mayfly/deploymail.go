package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mayfly/internal/store"
	"mayfly/runner"
	"mayfly/stack/deploy"
)

// mail sees to it that somebody hears of runs: every address has a
// subscription, what is not confirmed is said, and who has confirmed gets a
// mail to see that it arrives, once for every change.
func (a *app) mail(ctx context.Context, s *survey) error {
	topic := s.topic()
	subs, err := deploy.Subscribe(ctx, s.aws.Topics(), topic, s.options.Topic.Emails)
	if err != nil {
		return err
	}
	for _, e := range subs.Pending {
		fmt.Fprintf(a.stdout, "NOT CONFIRMED: %s gets no report until the link in the mail \"AWS Notification - Subscription Confirmation\" has been opened%s.\n", e,
			map[bool]string{true: "; that mail was sent again just now"}[slices.Contains(subs.Again, e) && s.now != nil])
	}
	if len(subs.Confirmed)+subs.Others == 0 {
		if len(subs.Pending) > 0 {
			fmt.Fprintf(a.stdout, "Then call mayfly deploy%s again for a test mail.\n", a.configFlag())
		} else {
			fmt.Fprintf(a.stdout, "NOBODY LISTENS: the topic %s has no confirmed subscription, so nobody gets a report: subscribe an address to it.\n", topic)
		}
		return nil
	}
	st, err := s.world.store(ctx)
	if err != nil {
		return err
	}
	// What the mail is about, and to whom: a new subscriber gets one, too.
	key := "admin/mailed-" + sumOf([]byte(string(s.template)+"\n"+strings.Join(subs.Confirmed, "\n")))
	switch _, err := st.Stat(ctx, key); {
	case err == nil:
		return nil
	case !errors.Is(err, store.ErrNotExist):
		return err
	}
	if err := s.aws.Topics().Publish(ctx, topic, fmt.Sprintf("mayfly %s: deployed", s.config.Name), a.mailText(s, subs)); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "Sent a test mail to %s.\n", cmp.Or(strings.Join(subs.Confirmed, ", "), "the topic's subscribers"))
	if _, err := st.Put(ctx, key, []byte(a.now().UTC().Format(time.RFC3339)+"\n"), ""); err != nil && !errors.Is(err, store.ErrExists) {
		return err
	}
	return nil
}

// mailText is the body of the test mail.
func (a *app) mailText(s *survey, subs deploy.Subscribers) string {
	c := s.config
	var b strings.Builder
	fmt.Fprintf(&b, "This is a test: mails of the mayfly deployment %s reach you.\n\n", c.Name)
	fmt.Fprintf(&b, "Region:   %s, account %s\nStore:    %s\n", s.region, s.caller.Account, c.Store.URL)
	for i, t := range c.Schedule.Start.Next(a.now(), c.Schedule.Timezone.Location(), 3) {
		label := "Starts:  "
		if i > 0 {
			label = "         "
		}
		fmt.Fprintf(&b, "%s %s\n", label, bothTimes(t))
	}
	fmt.Fprintf(&b, "Ends:     %s after its start at the latest\n", runner.FormatDuration(time.Duration(c.Schedule.Deadline)))
	if len(subs.Pending) > 0 {
		fmt.Fprintf(&b, "\nNot confirmed yet: %s\n", strings.Join(subs.Pending, ", "))
	}
	b.WriteString("\nA report comes after every run. If none comes, something is wrong: mayfly status says more.\n")
	return b.String()
}
