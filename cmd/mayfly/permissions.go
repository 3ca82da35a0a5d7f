package main

import (
	"cmp"
	"slices"

	"mayfly/iam"
	"mayfly/internal/cloud"
	"mayfly/runner"
)

// permissions is what the instances of c's deployment may do: what its jobs
// need, what every run needs, and what the boot script and the ending need.
// at says where the deployment is.
func permissions(c *runner.Config, at iam.Place) *iam.Policy {
	p := new(iam.Policy)
	at.Deployment = string(c.Name)
	bucket, prefix := c.Store.Bucket()
	if c.Store.Endpoint == "" { // else no AWS policy decides about it
		at.Bucket, at.Prefix = bucket, prefix
	}
	p.Add(at, iam.Read("FetchBinaryAndConfig", "admin/mayfly-*", "admin/config-*"), iam.List("TellWhatIsMissingAtBoot", "admin/*"))
	p.Add(at, runner.Permissions()...)
	for _, j := range c.Jobs {
		needs := j.Config.Needs()
		within := at
		within.Job = string(j.Name)
		within.Prefix = string(j.Prefix)
		if at.Prefix != "" {
			within.Prefix = at.Prefix + "/" + within.Prefix
		}
		p.Add(within, needs.Permissions...)
	}
	var refs []string
	names := map[string][]string{}
	for _, ref := range c.Secrets() {
		if names[ref.Scheme] == nil {
			refs = append(refs, ref.Scheme)
		}
		names[ref.Scheme] = append(names[ref.Scheme], ref.Name)
	}
	var keepers []string
	for _, scheme := range refs {
		switch scheme {
		case "ssm":
			p.Add(at, iam.ReadParameters(names[scheme]...))
			keepers = append(keepers, scheme)
		case "secretsmanager":
			p.Add(at, iam.ReadSecrets(names[scheme]...))
			keepers = append(keepers, scheme)
		}
	}
	var keys []string
	for _, k := range c.KMSKeys {
		keys = append(keys, string(k))
	}
	if len(keys) > 0 && len(keepers) > 0 {
		p.Add(at, iam.Decrypt(keys, keepers...))
	}
	if len(keys) > 0 && slices.ContainsFunc(c.Jobs, func(j runner.JobSpec) bool { return len(j.Config.Needs().Volumes) > 0 }) {
		p.Add(at, iam.UseVolumeKeys(keys)...)
	}
	switch {
	case c.Notify.Topic != "":
		p.Add(at, iam.Publish(string(c.Notify.Topic)))
	case len(c.Notify.Email) > 0:
		p.Add(at, iam.Publish(iam.TopicARN(string(c.Name))))
	}
	if c.Notify.Metrics {
		p.Add(at, iam.PutMetrics(cloud.MetricsNamespace))
	}
	p.Add(at, iam.LeaveGroup(cmp.Or(c.Group, string(c.Name))))
	return p
}
