package runner

import (
	"fmt"

	"mayfly/internal/secret"
)

// Notify is who gets the report, and who is told of the run besides.
type Notify struct {
	Email []Email  `yaml:"email" doc:"addresses that the deployment's own topic sends the report to" example:"[you@example.com]"`
	Topic TopicARN `yaml:"topic" doc:"an SNS topic of your own, instead of email" example:"arn:aws:sns:eu-west-1:123456789012:backups"`
	// Launches that fail and runs that never happened are told of in any case.
	Launches bool    `yaml:"launches" doc:"a mail for every launch and every termination of an instance, too"`
	Missed   *bool   `yaml:"missed_runs" doc:"look after each deadline whether there was a run, and mail when there was none (default true)"`
	Ping     Ping    `yaml:"ping" doc:"a check of a dead man's switch service: a reference to its address, to which /start and /fail are added as healthchecks.io has them, or a mapping" example:"ssm:/onlinebackup/ping"`
	Webhook  Webhook `yaml:"webhook" doc:"where the report is posted: a reference to the address, or a mapping" example:"ssm:/onlinebackup/webhook"`
	Metrics  bool    `yaml:"metrics" doc:"put how the run went into CloudWatch, namespace mayfly"`
}

// MissedRuns reports whether somebody looks for runs that never happened.
func (n Notify) MissedRuns() bool { return n.Missed == nil || *n.Missed }

// Secrets are the references that notify holds.
func (n Notify) Secrets() []secret.Ref {
	var refs []secret.Ref
	for _, r := range []secret.Ref{n.Ping.All, n.Ping.Start, n.Ping.Success, n.Ping.Failure, n.Webhook.URL, n.Webhook.Secret} {
		if !r.IsZero() {
			refs = append(refs, r)
		}
	}
	return refs
}

// A Ping says where the addresses of a check are kept. In the config it is one
// reference, whose address is that of success, or a mapping.
type Ping struct {
	All     secret.Ref `yaml:"-"`
	Start   secret.Ref `yaml:"start" doc:"where the address is kept that tells that a run began" example:"ssm:/onlinebackup/ping-start"`
	Success secret.Ref `yaml:"success" doc:"where the address is kept that tells that a run is complete" example:"ssm:/onlinebackup/ping"`
	Failure secret.Ref `yaml:"failure" doc:"where the address is kept that tells that a run is anything else" example:"ssm:/onlinebackup/ping-failure"`
}

// Pattern is the form for the schema.
func (*Ping) Pattern() string { return secret.Ref{}.Pattern() }

// Sensitive marks that a text which is no Ref may well be a secret.
func (*Ping) Sensitive() {}

// UnmarshalText takes the reference alone.
func (p *Ping) UnmarshalText(b []byte) error { return p.All.UnmarshalText(b) }

// IsZero reports whether there is no check.
func (p Ping) IsZero() bool { return p == Ping{} }

// A Webhook says where the report is posted. In the config it is one reference
// to the address, or a mapping with more.
type Webhook struct {
	URL    secret.Ref `yaml:"url,required" doc:"where the address is kept" example:"ssm:/onlinebackup/webhook"`
	Secret secret.Ref `yaml:"secret" doc:"where the key is kept that signs what is posted: X-Mayfly-Signature-256: sha256=HEX is the HMAC of the body" example:"ssm:/onlinebackup/webhook-key"`
	Format string     `yaml:"format" enum:"json,text" doc:"json: the report as report.json; text: {\"text\": ...}, as Slack, Mattermost and Rocket.Chat take it (default json)" example:"text"`
}

// Pattern is the form for the schema.
func (*Webhook) Pattern() string { return secret.Ref{}.Pattern() }

// Sensitive marks that a text which is no Ref may well be a secret.
func (*Webhook) Sensitive() {}

// UnmarshalText takes the reference alone.
func (w *Webhook) UnmarshalText(b []byte) error { return w.URL.UnmarshalText(b) }

// The values of Webhook.Format; "" is JSON.
const (
	WebhookJSON = "json"
	WebhookText = "text"
)

func (v checker) notify() {
	n := v.c.Notify
	if len(n.Email) > 0 && n.Topic != "" {
		v.doc.Add("notify.topic", "both email and topic are given", "keep topic and subscribe the addresses to it yourself, or keep email")
	}
	seen := map[Email]bool{}
	for i, e := range n.Email {
		if seen[e] {
			v.doc.Add(fmt.Sprintf("notify.email[%d]", i), "is there twice", "remove one")
		}
		seen[e] = true
	}
	if v.doc.Has("notify.email") && len(n.Email) == 0 {
		v.doc.Add("notify.email", "is an empty list", "add an address, or remove the key")
	}
	if v.doc.Has("notify.ping") && n.Ping.All.IsZero() && n.Ping.Success.IsZero() {
		v.doc.Add("notify.ping", "does not say where success is told", "add success, or write a single reference instead of the mapping")
	}
}
