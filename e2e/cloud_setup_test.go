//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"mayfly/internal/cloud"
)

// TestMotoSetup has the clients that set a deployment up talk to an AWS that
// none of their authors wrote.
func TestMotoSetup(t *testing.T) {
	t.Parallel()
	m := newMoto(t)
	c := m.cloud(t, m.admin)
	for _, x := range []struct {
		name string
		run  func(*testing.T, *moto, *cloud.Cloud)
	}{
		{"caller", setupCaller}, {"stack", setupStack}, {"group", setupGroup}, {"parameters", setupParameters},
		{"topics", setupTopics}, {"EC2", setupEC2}, {"roles", setupRoles}, {"buckets", setupBuckets}, {"denied", setupDenied},
	} {
		t.Run(x.name, func(t *testing.T) { x.run(t, m, c) })
	}
}

// cloud is what mayfly on a laptop with these credentials would use.
func (m *moto) cloud(t *testing.T, credentials map[string]string) *cloud.Cloud {
	t.Helper()
	env := m.env(m.proxy, credentials)
	c, err := cloud.Load(t.Context(), cloud.Options{
		Region: motoRegion, Getenv: func(name string) string { return env[name] }, MaxBackoff: 50 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func setupCaller(t *testing.T, _ *moto, c *cloud.Cloud) {
	who, err := c.Caller(t.Context())
	if err != nil || who.Account != motoAccount || who.Partition != "aws" {
		t.Errorf("%+v, %v", who, err)
	}
}

// stackInput is a stack with a topic, and a queue where one more is wanted.
func stackInput(t *testing.T, display string, queue bool) cloud.StackInput {
	t.Helper()
	resources := map[string]any{"Topic": map[string]any{
		"Type": "AWS::SNS::Topic", "Properties": map[string]any{"TopicName": "of-stack", "DisplayName": map[string]string{"Ref": "Display"}},
	}}
	if queue {
		resources["Queue"] = map[string]any{"Type": "AWS::SQS::Queue", "Properties": map[string]any{"QueueName": "of-stack"}}
	}
	template, err := json.Marshal(map[string]any{
		"Parameters": map[string]any{"Display": map[string]string{"Type": "String"}},
		"Resources":  resources,
		"Outputs":    map[string]any{"Topic": map[string]any{"Value": map[string]string{"Ref": "Topic"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return cloud.StackInput{Name: "weekly", Template: template, Parameters: map[string]string{"Display": display}, Tags: map[string]string{"mayfly": "weekly"}}
}

func setupStack(t *testing.T, _ *moto, c *cloud.Cloud) {
	ctx := t.Context()
	stacks, err := c.Stacks()
	if err != nil {
		t.Fatal(err)
	}
	first, second := stackInput(t, "one", false), stackInput(t, "one", true)
	if _, err := stacks.Describe(ctx, first.Name); !errors.Is(err, cloud.ErrNotFound) {
		t.Errorf("before: %v", err)
	}
	if _, err := stacks.Update(ctx, first); !errors.Is(err, cloud.ErrNotFound) {
		t.Errorf("update of nothing: %v", err)
	}
	if _, err := stacks.Changes(ctx, first); !errors.Is(err, cloud.ErrNotFound) {
		t.Errorf("changes of nothing: %v", err)
	}
	if err := stacks.Validate(ctx, first.Template); err != nil {
		t.Error(err)
	}
	id, err := stacks.Create(ctx, first)
	if err != nil {
		t.Fatal(err)
	}
	s, err := stacks.Describe(ctx, first.Name)
	if err != nil || s.ID != id || s.Status != "CREATE_COMPLETE" || s.Tags["mayfly"] != "weekly" || s.Parameters["Display"] != "one" || !strings.HasSuffix(s.Outputs["Topic"], ":of-stack") {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := stacks.Create(ctx, first); !errors.Is(err, cloud.ErrExists) {
		t.Errorf("create twice: %v", err)
	}
	if text, err := stacks.Template(ctx, first.Name); err != nil || string(text) != string(first.Template) {
		t.Errorf("%s, %v", text, err)
	}

	if changes, err := stacks.Changes(ctx, first); err != nil || len(changes) != 0 {
		t.Errorf("changes of the same: %+v, %v", changes, err)
	}
	changes, err := stacks.Changes(ctx, second)
	if err != nil || !slices.ContainsFunc(changes, func(c cloud.Change) bool {
		return c.Action == "Add" && c.Resource == "Queue" && c.Type == "AWS::SQS::Queue"
	}) {
		t.Errorf("changes: %+v, %v", changes, err)
	}
	if changed, err := stacks.Update(ctx, first); err != nil || changed {
		t.Errorf("update to the same: %v, %v", changed, err)
	}
	seen := stackEvents(t, stacks, id, nil)
	if changed, err := stacks.Update(ctx, second); err != nil || !changed {
		t.Errorf("update: %v, %v", changed, err)
	}
	last := seen[len(seen)-1].ID
	later := stackEvents(t, stacks, id, func(e cloud.StackEvent) bool { return e.ID == last })
	if len(later) == 0 || later[0].Status != "UPDATE_IN_PROGRESS" || later[len(later)-1].Status != "UPDATE_COMPLETE" || !later[0].OfStack() {
		t.Errorf("events since: %+v", later)
	}
	list, err := stacks.Resources(ctx, id)
	var names []string
	for _, r := range list {
		names = append(names, r.Name+" "+r.Type)
	}
	if slices.Sort(names); err != nil || !slices.Equal(names, []string{"Queue AWS::SQS::Queue", "Topic AWS::SNS::Topic"}) {
		t.Errorf("%+v, %v", list, err)
	}

	for range 2 { // what is gone may be deleted
		if err := stacks.Delete(ctx, id); err != nil {
			t.Error(err)
		}
	}
	if _, err := stacks.Describe(ctx, first.Name); !errors.Is(err, cloud.ErrNotFound) {
		t.Errorf("by name, after: %v", err)
	}
	if s, err := stacks.Describe(ctx, id); err != nil || s.Status != "DELETE_COMPLETE" {
		t.Errorf("by id, after: %+v, %v", s, err)
	}
}

func stackEvents(t *testing.T, stacks cloud.Stacks, id string, stop func(cloud.StackEvent) bool) []cloud.StackEvent {
	t.Helper()
	list, err := stacks.Events(t.Context(), id, stop)
	if err != nil || len(list) == 0 {
		t.Fatalf("%d events, %v", len(list), err)
	}
	return list
}

func setupParameters(t *testing.T, _ *moto, c *cloud.Cloud) {
	ctx, p, name := t.Context(), c.Parameters(), "/weekly/token"
	if has, err := p.Exists(ctx, name); has || err != nil {
		t.Errorf("before: %v, %v", has, err)
	}
	if err := p.Put(ctx, name, "first", false); err != nil {
		t.Fatal(err)
	}
	if has, err := p.Exists(ctx, name); !has || err != nil {
		t.Errorf("%v, %v", has, err)
	}
	if err := p.Put(ctx, name, "second", false); !errors.Is(err, cloud.ErrExists) {
		t.Errorf("without overwriting: %v", err)
	}
	if err := p.Put(ctx, name, "second", true); err != nil {
		t.Error(err)
	}
	if got, err := p.Get(ctx, name); got != "second" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	for range 2 { // what is gone may be removed
		if err := p.Remove(ctx, name); err != nil {
			t.Error(err)
		}
	}
	if has, err := p.Exists(ctx, name); has || err != nil {
		t.Errorf("after: %v, %v", has, err)
	}
}

func setupTopics(t *testing.T, m *moto, c *cloud.Cloud) {
	ctx, topics := t.Context(), c.Topics()
	arn := m.topic()
	if has, err := topics.TopicExists(ctx, arn); has || err != nil {
		t.Errorf("before: %v, %v", has, err)
	}
	m.aws("sns", "create-topic", "--name", "moto")
	if has, err := topics.TopicExists(ctx, arn); !has || err != nil {
		t.Errorf("%v, %v", has, err)
	}
	if err := topics.Subscribe(ctx, arn, "you@example.com"); err != nil {
		t.Error(err)
	}
	// moto confirms by itself: what is pending is for the tests in the process.
	list, err := topics.Subscriptions(ctx, arn)
	if err != nil || len(list) != 1 || list[0].Protocol != "email" || list[0].Endpoint != "you@example.com" {
		t.Errorf("%+v, %v", list, err)
	}
	if err := topics.Publish(ctx, arn, "a test", "body"); err != nil {
		t.Error(err)
	}
	if err := topics.Publish(ctx, arn+"-other", "a test", "body"); !errors.Is(err, cloud.ErrNotFound) {
		t.Errorf("no such topic: %v", err)
	}
}

func setupRoles(t *testing.T, m *moto, c *cloud.Cloud) {
	ctx := t.Context()
	roles, err := c.Roles()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		if created, err := roles.EnsureSpotRole(ctx); err != nil || created != (i == 0) {
			t.Errorf("time %d: %v, %v", i, created, err)
		}
	}
	m.aws("iam", "create-role", "--role-name", "weekly", "--assume-role-policy-document", `{"Version": "2012-10-17", "Statement": []}`)
	m.aws("iam", "create-instance-profile", "--instance-profile-name", "weekly")
	for name, want := range map[string]bool{"weekly": true, "other": false} {
		if has, err := roles.RoleExists(ctx, name); has != want || err != nil {
			t.Errorf("role %s: %v, %v", name, has, err)
		}
		if has, err := roles.ProfileExists(ctx, name); has != want || err != nil {
			t.Errorf("profile %s: %v, %v", name, has, err)
		}
	}
}

func setupBuckets(t *testing.T, m *moto, c *cloud.Cloud) {
	ctx, buckets := t.Context(), c.Buckets()
	m.aws("s3api", "create-bucket", "--bucket", "here", "--create-bucket-configuration", "LocationConstraint="+motoRegion)
	m.aws("s3api", "create-bucket", "--bucket", "elsewhere", "--region", "us-west-2", "--create-bucket-configuration", "LocationConstraint=us-west-2")
	for name, region := range map[string]string{"here": motoRegion, "elsewhere": "us-west-2"} {
		if b, err := buckets.Look(ctx, name, motoAccount); err != nil || !b.Ours || b.Region != region {
			t.Errorf("%s: %+v, %v", name, b, err)
		}
	}
	if _, err := buckets.Look(ctx, "nobodys", motoAccount); !errors.Is(err, cloud.ErrNotFound) {
		t.Errorf("nobody's: %v", err)
	}
	if list, err := buckets.Unfinished(ctx, "here", "github/", motoRegion); err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	m.aws("s3api", "create-multipart-upload", "--bucket", "here", "--key", "github/a.zip")
	m.aws("s3api", "create-multipart-upload", "--bucket", "here", "--key", "other/a.zip")
	list, err := buckets.Unfinished(ctx, "here", "github/", motoRegion)
	if err != nil || len(list) != 1 || list[0].Key != "github/a.zip" || list[0].ID == "" || list[0].Began.IsZero() {
		t.Errorf("%+v, %v", list, err)
	}
}
