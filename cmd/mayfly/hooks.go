package main

import (
	"context"
	"crypto/rand"
	"fmt"

	"mayfly/internal/cloud"
	"mayfly/internal/hook"
	"mayfly/internal/secret"
	"mayfly/runner"
)

// hooks are who is told of a run besides the topic. What is wrong with an
// address is found before the run begins.
func (w *world) hooks(secrets map[secret.Ref]secret.Value) ([]runner.Hook, error) {
	n := w.config.Notify
	sender := hook.Sender{HTTP: httpTransport(), Agent: "mayfly/" + mayflyVersion()}
	address := func(key string, ref secret.Ref) (string, error) {
		if ref.IsZero() {
			return "", nil
		}
		s := secrets[ref].Reveal()
		if err := hook.CheckAddress(s); err != nil {
			return "", fmt.Errorf("notify.%s: %s: %w", key, ref, err)
		}
		return s, nil
	}
	var list []runner.Hook
	if !n.Ping.IsZero() {
		p, err := ping(n.Ping, sender, address)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	if !n.Webhook.URL.IsZero() {
		url, err := address("webhook", n.Webhook.URL)
		if err != nil {
			return nil, err
		}
		h := webhook{Webhook: hook.Webhook{Sender: sender, Address: url}, text: n.Webhook.Format == runner.WebhookText}
		if !n.Webhook.Secret.IsZero() {
			h.Secret = secrets[n.Webhook.Secret].Reveal()
		}
		list = append(list, h)
	}
	if n.Metrics {
		list = append(list, metrics{w})
	}
	return list, nil
}

// A pinger is a dead man's switch as a run knows it.
type pinger struct{ hook.Ping }

func ping(c runner.Ping, s hook.Sender, address func(string, secret.Ref) (string, error)) (runner.Hook, error) {
	p := hook.Ping{Sender: s, ID: uuid()}
	var err error
	if !c.All.IsZero() {
		if p.Success, err = address("ping", c.All); err == nil {
			p.Start, p.Failure, err = hook.Below(p.Success)
		}
		return pinger{p}, err
	}
	for _, a := range []struct {
		key string
		ref secret.Ref
		to  *string
	}{{"ping.start", c.Start, &p.Start}, {"ping.success", c.Success, &p.Success}, {"ping.failure", c.Failure, &p.Failure}} {
		if *a.to, err = address(a.key, a.ref); err != nil {
			return nil, err
		}
	}
	return pinger{p}, nil
}

func (pinger) Name() string { return "ping" }
func (pinger) Last() bool   { return true }

// End implements runner.Hook.
func (p pinger) End(ctx context.Context, r *runner.Report) error {
	return p.Ping.End(ctx, r.Verdict == runner.VerdictComplete, r.Subject()+"\n\n"+r.Text())
}

// A webhook takes the report.
type webhook struct {
	hook.Webhook
	text bool
}

func (webhook) Name() string                { return "webhook" }
func (webhook) Last() bool                  { return false }
func (webhook) Begin(context.Context) error { return nil }

// maxWebhook is the size of a report beyond which what went well is only
// counted: many services take no more than a megabyte.
const maxWebhook = 512 << 10

// End implements runner.Hook.
func (h webhook) End(ctx context.Context, r *runner.Report) error {
	if h.text {
		const most = 3000 // characters: Slack cuts from 4,000 on
		return h.Text(ctx, r.Run, r.Subject()+"\n```\n"+runner.CutText(r.Text(), most)+"\n```")
	}
	doc, err := r.JSON()
	if err == nil && len(doc) > maxWebhook {
		doc, err = r.Brief().JSON()
	}
	if err != nil {
		return err
	}
	return h.JSON(ctx, r.Run, doc)
}

// metrics is CloudWatch.
type metrics struct{ *world }

func (metrics) Name() string                { return "metrics" }
func (metrics) Last() bool                  { return false }
func (metrics) Begin(context.Context) error { return nil }

// End implements runner.Hook.
func (m metrics) End(ctx context.Context, r *runner.Report) error {
	c, err := m.cloud(ctx)
	if err != nil {
		return err
	}
	return c.PutMetrics(ctx, r.Ended, metricsOf(r))
}

// metricsOf is a report in numbers: those of the run have the dimension
// Deployment, those of a job Job, too.
func metricsOf(r *runner.Report) []cloud.Metric {
	deployment := [2]string{"Deployment", r.Deployment}
	run := func(name string, unit cloud.MetricUnit, v float64) cloud.Metric {
		return cloud.Metric{Name: name, Unit: unit, Value: v, Dimensions: [][2]string{deployment}}
	}
	list := []cloud.Metric{
		run("Complete", cloud.Count, oneIf(r.Verdict == runner.VerdictComplete)),
		run("Duration", cloud.Seconds, max(0, r.Ended.Sub(r.Started).Seconds())),
	}
	for _, s := range r.Sums() {
		add := func(name string, unit cloud.MetricUnit, v float64) {
			list = append(list, cloud.Metric{Name: name, Unit: unit, Value: v, Dimensions: [][2]string{deployment, {"Job", s.Name}}})
		}
		add("Complete", cloud.Count, oneIf(s.Complete))
		add("Items", cloud.Count, float64(s.Items))
		add("BadItems", cloud.Count, float64(s.Bad))
		add("Written", cloud.Bytes, float64(s.Wrote))
		if s.Oldest >= 0 {
			add("OldestBackup", cloud.Seconds, s.Oldest)
		}
	}
	return list
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// uuid is a random one, version 4. RFC 9562.
func uuid() string {
	var b [16]byte
	rand.Read(b[:]) // it never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
