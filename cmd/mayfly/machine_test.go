package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mayfly/internal/imdstest"
	"mayfly/runner"
)

// A found is what EC2, Route 53 and Systems Manager are to a machine: each
// action has one answer.
type found struct {
	url string

	mu      sync.Mutex
	answers map[string]string
	asked   map[string][]string // forms or bodies, by action
}

func newFound(t *testing.T, answers map[string]string) *found {
	t.Helper()
	f := &found{answers: answers, asked: map[string][]string{}}
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	f.url = srv.URL
	return f
}

func (f *found) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	action, form := r.Method+" "+r.URL.Path, string(body)
	if _, target, ok := strings.Cut(r.Header.Get("X-Amz-Target"), "."); ok {
		action = target
	} else if q, err := url.ParseQuery(form); err == nil && q.Has("Action") {
		action = q.Get("Action")
		form, _ = url.QueryUnescape(form)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked[action] = append(f.asked[action], form)
	answer, ok := f.answers[action]
	if !ok {
		w.WriteHeader(http.StatusBadRequest)
		answer = "<Response><Errors><Error><Code>InvalidAction</Code><Message>" + action + "</Message></Error></Errors></Response>"
	}
	io.WriteString(w, answer)
}

func (f *found) answer(action, with string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[action] = with
}

func toJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// actions are all that was asked, sorted.
func (f *found) actions() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.asked))
}

// asks fails when the last request of an action lacks one of these.
func (f *found) asks(t *testing.T, action string, want ...string) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.asked[action]
	if len(all) == 0 {
		t.Errorf("%s was not asked", action)
		return
	}
	for _, w := range want {
		if !strings.Contains(all[len(all)-1], w) {
			t.Errorf("%s: %q lacks %q", action, all[len(all)-1], w)
		}
	}
}

const hostsConfig = `name: hosts
region: eu-west-1
store: file://%s
jobs:
  - name: hosts
    receive:
      window: 3h
      keep: 20d
      listen: {port: 22, from: [203.0.113.0/24]}
      address: {elastic_ip: eipalloc-0123456789abcdef0}
      hosts:
        web: {volume: vol-0123456789abcdef0, keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIG8bSkvNk0Ku+wOgU1MNIZ7lYT7LnEymFbk7y0BNYXTK root@web"]}
`

// onMachine is a world of hosts, at f and an instance of its own.
func onMachine(t *testing.T, f *found) (*app, *world, *imdstest.Server) {
	t.Helper()
	meta, err := imdstest.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { meta.Close() })
	key, err := anyHostKey()
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "example", "AWS_ENDPOINT_URL": f.url,
	}
	f.answer("GetParameter", toJSON(t, map[string]any{"Parameter": map[string]string{"Value": key.Reveal()}}))
	maps.Copy(env, meta.Env())
	a := &app{stdout: io.Discard, stderr: io.Discard, hostname: "host", now: time.Now, getenv: func(name string) string { return env[name] }}
	c, err := a.parseConfig("hosts.yaml", fmt.Appendf(nil, hostsConfig, filepath.ToSlash(t.TempDir())))
	if err != nil {
		t.Fatal(err)
	}
	return a, newWorld(c, a.getenv), meta
}

// Building a job that has volumes asks for its secrets, and for nothing else.
func TestMachineIsWiredSilently(t *testing.T) {
	t.Parallel()
	f := newFound(t, map[string]string{})
	a, w, meta := onMachine(t, f)
	d, err := a.deployment(t.Context(), w)
	if err != nil || len(d.Tasks) != 1 {
		t.Fatalf("%+v, %v", d.Tasks, err)
	}
	if asked := f.actions(); !slices.Equal(asked, []string{"GetParameter"}) || len(meta.Calls()) > 0 { // the host's key
		t.Errorf("asked for %q and %v", asked, meta.Calls())
	}
}

func TestMachineVolumes(t *testing.T) {
	t.Parallel()
	const attached = "<attachmentSet><item><instanceId>i-0123456789abcdef0</instanceId><device>/dev/sdf</device><status>attached</status></item></attachmentSet>"
	const tags = "<tagSet><item><key>mayfly:host</key><value>web</value></item></tagSet>"
	f := newFound(t, map[string]string{
		"DescribeVolumes":   "<R><volumeSet><item><volumeId>vol-1</volumeId><snapshotId>snap-0</snapshotId><size>8</size><availabilityZone>eu-west-1b</availabilityZone><status>in-use</status>" + attached + tags + "</item></volumeSet></R>",
		"CreateTags":        "<R/>",
		"DescribeSnapshots": "<R><snapshotSet><item><snapshotId>snap-1</snapshotId><volumeId>vol-1</volumeId><status>completed</status><startTime>2026-11-20T16:00:00Z</startTime>" + tags + "</item></snapshotSet></R>",
		"CreateSnapshot":    "<R><snapshotId>snap-2</snapshotId><volumeId>vol-1</volumeId><status>pending</status></R>",
		"DeleteSnapshot":    "<R/>",
		"CreateVolume":      "<R><volumeId>vol-1</volumeId></R>",
		"DeleteVolume":      "<R/>",
	})
	_, w, meta := onMachine(t, f)
	meta.Change(func(s *imdstest.State) { s.IPv4, s.IPv6 = "203.0.113.7", []string{"2001:db8::7"} })
	ctx, before := t.Context(), time.Now()
	m, err := w.machine(ctx)
	if err != nil {
		t.Fatal(err)
	}
	self, err := m.Self(ctx)
	if want := (runner.Self{ID: "i-0123456789abcdef0", Zone: "eu-west-1b", Addresses: []netip.Addr{netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("2001:db8::7")}}); err != nil || !reflect.DeepEqual(self, want) {
		t.Errorf("%+v, %v", self, err)
	}
	want := runner.Volume{
		ID: "vol-1", Zone: "eu-west-1b", State: "in-use", Instance: self.ID, Device: "/dev/sdf", Attachment: "attached",
		From: "snap-0", GiB: 8, Tags: map[string]string{"mayfly:host": "web"},
	}
	same := func(v runner.Volume, err error) {
		t.Helper()
		if v.Asked.Before(before) || v.Asked.After(time.Now()) {
			t.Errorf("asked at %s", v.Asked)
		}
		if v.Asked = (time.Time{}); err != nil || !reflect.DeepEqual(v, want) {
			t.Errorf("%+v, %v", v, err)
		}
	}
	list, err := m.List(ctx)
	if len(list) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	same(list[0], err)
	f.asks(t, "DescribeVolumes", "tag:mayfly:deployment", "Value.1=hosts")
	same(m.Attach(ctx, "vol-1", self))
	if err := m.Detach(ctx, "vol-1", runner.Self{ID: "i-other"}); err != nil {
		t.Error(err)
	}
	if err := m.Mark(ctx, "vol-1", "mayfly:formatted", "x"); err != nil {
		t.Error(err)
	}
	f.asks(t, "CreateTags", "ResourceId.1=vol-1", "Tag.1.Key=mayfly:formatted", "Tag.1.Value=x")
	snaps, err := m.Snapshots(ctx)
	if err != nil || len(snaps) != 1 || snaps[0].ID != "snap-1" || snaps[0].Volume != "vol-1" || snaps[0].State != "completed" || snaps[0].Began.IsZero() || snaps[0].Tags["mayfly:host"] != "web" {
		t.Errorf("%+v, %v", snaps, err)
	}
	s, err := m.Snapshot(ctx, "vol-1", "of web", map[string]string{"mayfly:host": "web"})
	if err != nil || s.ID != "snap-2" || s.State != "pending" {
		t.Errorf("%+v, %v", s, err)
	}
	f.asks(t, "CreateSnapshot", "Description=of web", "Tag.1.Key=mayfly:deployment", "Tag.1.Value=hosts", "Tag.2.Key=mayfly:host")
	if err := m.DeleteSnapshot(ctx, "snap-1"); err != nil {
		t.Error(err)
	}
	f.asks(t, "DeleteSnapshot", "SnapshotId=snap-1")
	// The answer to what is created says "in-use", which no new volume is.
	if _, err := m.Copy(ctx, "snap-1", self, map[string]string{"mayfly:temporary": "restore-1", "mayfly:of": "web"}); err == nil || !strings.Contains(err.Error(), "its state is in-use") {
		t.Error(err)
	}
	f.asks(t, "CreateVolume", "SnapshotId=snap-1", "AvailabilityZone=eu-west-1b", "ClientToken=restore-1", "Tag.1.Key=mayfly:deployment", "Tag.1.Value=hosts", "Tag.2.Key=mayfly:of", "Tag.3.Key=mayfly:temporary")
	if err := m.Delete(ctx, "vol-1"); err != nil {
		t.Error(err)
	}
	f.asks(t, "DeleteVolume", "VolumeId=vol-1")
}

func TestMachineAddresses(t *testing.T) {
	t.Parallel()
	const zone = " /2013-04-01/hostedzone/Z1/rrset"
	f := newFound(t, map[string]string{
		"DescribeAddresses": "<R><addressesSet><item><publicIp>203.0.113.7</publicIp><allocationId>eipalloc-1</allocationId></item></addressesSet></R>",
		"AssociateAddress":  "<R><associationId>eipassoc-1</associationId></R>",
		"GET" + zone:        "<R><ResourceRecordSets/><IsTruncated>false</IsTruncated></R>",
		"POST" + zone:       "<R><ChangeInfo/></R>",
		"PutParameter":      "{}",
	})
	_, w, _ := onMachine(t, f)
	ctx, self := t.Context(), runner.Self{ID: "i-1"}
	m, err := w.machine(ctx)
	if err != nil {
		t.Fatal(err)
	}
	ip, err := m.Associate(ctx, "eipalloc-1", self)
	if err != nil || ip.String() != "203.0.113.7" {
		t.Errorf("%s, %v", ip, err)
	}
	f.asks(t, "AssociateAddress", "AllocationId=eipalloc-1", "InstanceId=i-1")
	if err := m.Dissociate(ctx, "eipalloc-1", self); err != nil { // it is not the instance's
		t.Error(err)
	}
	if err := m.SetRecord(ctx, runner.Record{Zone: "Z1", Name: "backup.example.com"}, time.Minute, []netip.Addr{ip}); err != nil {
		t.Error(err)
	}
	f.asks(t, "POST"+zone, "<Action>UPSERT</Action>", "<Name>backup.example.com</Name>", "<TTL>60</TTL>", "<Value>203.0.113.7</Value>")
	if err := m.PutParameter(ctx, "/hosts/address", "203.0.113.7"); err != nil {
		t.Error(err)
	}
	var sent map[string]any
	if err := json.Unmarshal([]byte(f.asked["PutParameter"][0]), &sent); err != nil || sent["Name"] != "/hosts/address" || sent["Type"] != "String" {
		t.Errorf("%v, %v", sent, err)
	}
}

// Checking a config of hosts asks nobody and needs nothing.
func TestCheckHostsOffline(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "hosts.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, hostsConfig, "/var/backups"), 0o644); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	a := &app{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, hostname: "host", now: time.Now, getenv: func(string) string { return "" }}
	if code := a.main(t.Context(), []string{"check", "-c", file}); code != 0 || !strings.Contains(out.String(), "is good") {
		t.Errorf("exit code %d:\n%s%s", code, &out, &errs)
	}
}
