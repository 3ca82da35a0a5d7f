package cloud_test

import (
	"context"
	"maps"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mayfly/internal/awstest"
	"mayfly/internal/cloud"
	"mayfly/internal/imdstest"
)

func metadata(t *testing.T) *imdstest.Server {
	t.Helper()
	s, err := imdstest.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// onInstance is the environment of an instance: no keys, no region.
func onInstance(s *awstest.Server, meta *imdstest.Server) map[string]string {
	env := s.Env()
	for _, k := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_EC2_METADATA_DISABLED"} {
		delete(env, k)
	}
	maps.Copy(env, meta.Env())
	return env
}

func ask(env map[string]string) *cloud.Metadata {
	return cloud.NewMetadata(func(k string) string { return env[k] })
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*imdstest.State)
		want   func(*cloud.Identity)
	}{
		"spot": {},
		"on demand": {
			func(s *imdstest.State) { s.Market, s.Zone = "on-demand", "us-gov-west-1a" },
			func(id *cloud.Identity) {
				id.Market, id.Zone, id.Region = "on-demand", "us-gov-west-1a", "us-gov-west-1"
			},
		},
		"tags": {
			func(s *imdstest.State) { s.Tags = map[string]string{"aws:autoscaling:groupName": "backups"} },
			func(id *cloud.Identity) { id.Group = "backups" },
		},
		"no role": {func(s *imdstest.State) { s.Role = "" }, func(id *cloud.Identity) { id.Role = "" }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := metadata(t)
			want := cloud.Identity{
				ID: "i-0123456789abcdef0", Type: "t4g.nano", Zone: "eu-west-1b", Region: "eu-west-1",
				Account: "123456789012", Market: "spot", Role: "onlinebackup",
			}
			if c.change != nil {
				s.Change(c.change)
				c.want(&want)
			}
			got, err := ask(s.Env()).Identity(t.Context())
			if err != nil || got != want {
				t.Errorf("got %+v, %v\nwant %+v", got, err, want)
			}
			if s.Refused() != 0 {
				t.Errorf("%d requests without a token", s.Refused())
			}
		})
	}
}

// Metadata that starts to answer late, forgets a session or fails now and then
// is asked again.
func TestIdentityLate(t *testing.T) {
	t.Parallel()
	s := metadata(t)
	m := ask(s.Env())
	if _, err := m.Identity(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Forget()
	s.SetFault("", imdstest.Fault{Reset: true, Times: 2})
	s.SetFault("meta-data/iam/", imdstest.Fault{Status: 503, Times: 1})
	if id, err := m.Identity(t.Context()); err != nil || id.Role != "onlinebackup" {
		t.Errorf("got %+v, %v", id, err)
	}
}

func TestIdentityErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault imdstest.Fault
		path  string
		env   map[string]string
		want  string
	}{
		"nobody there":     {env: map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1"}, want: "no answer: this must be an EC2 instance"},
		"disabled":         {env: map[string]string{"AWS_EC2_METADATA_DISABLED": "true"}, want: "unset AWS_EC2_METADATA_DISABLED"},
		"turned off":       {fault: imdstest.Fault{Status: 403}, want: "set HttpEndpoint: enabled in the launch template"},
		"one hop too many": {path: imdstest.TokenPath, fault: imdstest.Fault{Hang: true}, want: "allow a hop limit of 2"},
		"version 1 only":   {path: imdstest.TokenPath, fault: imdstest.Fault{Status: 404}, want: "status 404"},
		"broken":           {fault: imdstest.Fault{Status: 500}, want: "status 500"},
		"slow":             {path: "dynamic", fault: imdstest.Fault{Delay: 10 * time.Second}, want: "no answer"},
		"nonsense":         {path: "dynamic", fault: imdstest.Fault{Status: 200, Body: "{}"}, want: "names no instance"},
		"no JSON":          {path: "dynamic", fault: imdstest.Fault{Status: 200, Body: "<html>"}, want: "ask instance metadata"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := metadata(t)
			env := s.Env()
			maps.Copy(env, c.env)
			if c.fault != (imdstest.Fault{}) {
				s.SetFault(c.path, c.fault)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
			defer cancel()
			_, err := ask(env).Identity(ctx)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "ask instance metadata: ") {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if s.Refused() != 0 {
				t.Errorf("%d requests without a token", s.Refused())
			}
		})
	}
}

func TestNotice(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 20, 17, 2, 0, 0, time.UTC)
	const risk = "EC2 recommends a rebalance"
	for name, c := range map[string]struct {
		change           func(*imdstest.State)
		stop, risk, fail string
		by               time.Time
		path             string
		fault            imdstest.Fault
	}{
		"nothing":   {},
		"no group":  {change: func(s *imdstest.State) { s.Lifecycle = "" }},
		"terminate": {change: func(s *imdstest.State) { s.Action, s.ActionTime = "terminate", at }, stop: "spot interruption notice, terminate at 17:02:00 UTC", by: at},
		"stop":      {change: func(s *imdstest.State) { s.Action, s.ActionTime = "stop", at }, stop: "notice, stop at 17:02:00 UTC", by: at},
		"hibernate": {change: func(s *imdstest.State) { s.Action, s.ActionTime = "hibernate", at }, stop: "notice, hibernate at", by: at},
		"rebalance": {change: func(s *imdstest.State) { s.Rebalance = at }, risk: risk},
		"group":     {change: func(s *imdstest.State) { s.Lifecycle = "Terminated" }, stop: "the Auto Scaling group takes the instance out of service, target state Terminated"},
		"warm pool": {change: func(s *imdstest.State) { s.Lifecycle = "Warmed:Stopped" }, stop: "target state Warmed:Stopped"},
		"by hand":   {change: func(s *imdstest.State) { s.Lifecycle = "Standby" }},
		"both": {change: func(s *imdstest.State) {
			s.Lifecycle, s.Action, s.ActionTime, s.Rebalance = "Terminated", "stop", at, at
		}, stop: "spot interruption notice, stop", by: at, risk: risk},
		"all down":   {fault: imdstest.Fault{Reset: true}, fail: "no answer"},
		"one broken": {path: "meta-data/spot", fault: imdstest.Fault{Status: 500}, change: func(s *imdstest.State) { s.Lifecycle = "Terminated" }, stop: "target state Terminated", fail: "spot/instance-action: ask instance metadata: it answered with status 500"},
		"no JSON":    {path: "meta-data/spot", fault: imdstest.Fault{Status: 200, Body: "<html>"}, fail: "not a notice"},
		"empty":      {path: "meta-data/spot", fault: imdstest.Fault{Status: 200, Body: "{}"}, fail: "not a notice"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := metadata(t)
			if c.change != nil {
				s.Change(c.change)
			}
			if c.fault != (imdstest.Fault{}) {
				s.SetFault(c.path, c.fault)
			}
			begin := time.Now()
			n, err := ask(s.Env()).Notice(t.Context())
			if !strings.Contains(n.Stop, c.stop) || (c.stop == "") != (n.Stop == "") || !strings.HasPrefix(n.Risk, c.risk) || (c.risk == "") != (n.Risk == "") || !n.By.Equal(c.by) {
				t.Errorf("got %+v", n)
			}
			if (err == nil) != (c.fail == "") || err != nil && !strings.Contains(err.Error(), c.fail) {
				t.Errorf("error %v, want %q", err, c.fail)
			}
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

func TestMetadataAddresses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		four string
		six  []string
		want []netip.Addr
	}{
		"private":       {want: addrs("10.0.0.10")},
		"public":        {four: "203.0.113.7", want: addrs("203.0.113.7")},
		"both families": {four: "203.0.113.7", six: []string{"2001:db8::7", "2001:db8::8"}, want: addrs("203.0.113.7", "2001:db8::7", "2001:db8::8")},
		"IPv6":          {six: []string{"2001:db8::7"}, want: addrs("10.0.0.10", "2001:db8::7")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := metadata(t)
			s.Change(func(s *imdstest.State) { s.IPv4, s.IPv6 = c.four, c.six })
			s.SetFault("meta-data/public-ipv4", imdstest.Fault{Status: 503, Times: 1})
			got, err := ask(s.Env()).Addresses(t.Context())
			same(t, got, c.want, err)
		})
	}
	s := metadata(t)
	s.SetFault("meta-data/local-ipv4", imdstest.Fault{Status: 200, Body: "<html>"})
	list, err := ask(s.Env()).Addresses(soon(t))
	if saysAll(t, err, "ask instance metadata: local-ipv4 holds no address"); list != nil {
		t.Errorf("%v", list)
	}
	_, err = ask(map[string]string{"AWS_EC2_METADATA_DISABLED": "true"}).Addresses(t.Context())
	saysAll(t, err, "unset AWS_EC2_METADATA_DISABLED")
}
