package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"mayfly/internal/cloud"
	"mayfly/stack/deploy"
)

// lookStack finds the deployment's stack, and names that others have taken.
func (s *survey) lookStack(ctx context.Context) error {
	name := string(s.config.Name)
	var err error
	s.now, err = deploy.Mine(ctx, s.aws.stacks, name)
	if errors.Is(err, deploy.ErrForeign) {
		s.problems = append(s.problems, err)
		return nil
	}
	if err != nil {
		return err
	}
	if s.now != nil {
		if s.resources, err = s.aws.stacks.Resources(ctx, s.now.ID); err != nil {
			return err
		}
		if err := deploy.Stuck(*s.now, s.region); err != nil {
			s.problems = append(s.problems, err)
			return nil
		}
		if err := s.lookGone(ctx); err != nil {
			return err
		}
	}
	if s.resource("AWS::AutoScaling::AutoScalingGroup") == "" {
		_, err := s.aws.groups.Describe(ctx, name)
		switch {
		case err == nil:
			s.problem("name: there is an Auto Scaling group named %s, which no stack of this deployment made: choose another name, or delete the group", name)
		case !errors.Is(err, cloud.ErrNotFound):
			return err
		}
	}
	if own := s.resource("AWS::SNS::Topic"); own != "" && own == string(s.config.Notify.Topic) {
		s.problem("notify.topic: %s is the topic that deploy made, and with topic in the place of email it would be deleted: keep notify.email", own)
		return nil
	}
	if s.config.Notify.Topic != "" {
		return s.lookTopic(ctx)
	}
	if s.resource("AWS::SNS::Topic") == "" {
		there, err := s.aws.Topics().TopicExists(ctx, s.topic())
		if err != nil {
			return err
		}
		if there {
			s.problem("name: there is a topic named %s, which no stack of this deployment made: name it under notify.topic, or choose another name", name)
		}
	}
	return nil
}

// lookGone finds what somebody has deleted of the stack's: CloudFormation does
// not look, and makes nothing again. A bucket is lookBucket's.
func (s *survey) lookGone(ctx context.Context) error {
	if deploy.Unfinished(s.now.Status) {
		return nil // it is removed anyway
	}
	for _, r := range s.resources {
		if r.ID == "" || !strings.HasSuffix(r.Status, "_COMPLETE") || strings.HasPrefix(r.Status, "DELETE") {
			continue
		}
		there, err := s.isThere(ctx, r)
		if err != nil {
			return err
		}
		if !there {
			s.problem("name: the %s %s of the stack has been deleted, and CloudFormation does not make it again: mayfly destroy, which keeps the data, and then mayfly deploy",
				strings.TrimPrefix(r.Type, "AWS::"), r.ID)
		}
	}
	return nil
}

// isThere reports whether a resource of the stack is still there; those that
// are not asked for are.
func (s *survey) isThere(ctx context.Context, r cloud.Resource) (bool, error) {
	switch r.Type {
	case "AWS::AutoScaling::AutoScalingGroup":
		var err error
		s.group, err = s.aws.groups.Describe(ctx, r.ID)
		if errors.Is(err, cloud.ErrNotFound) {
			return false, nil
		}
		return err == nil, err
	case "AWS::SNS::Topic":
		return s.aws.Topics().TopicExists(ctx, r.ID)
	case "AWS::IAM::Role":
		return s.aws.roles.RoleExists(ctx, r.ID)
	}
	return true, nil
}

// lookTopic makes sure that a topic of one's own is there.
func (s *survey) lookTopic(ctx context.Context) error {
	there, err := s.aws.Topics().TopicExists(ctx, s.topic())
	if err == nil && !there {
		s.problem("notify.topic: %s does not exist: check its name, account and region", s.topic())
	}
	return err
}

// topic is the ARN of where reports go.
func (s *survey) topic() string {
	if own := string(s.config.Notify.Topic); own != "" {
		return own
	}
	return fmt.Sprintf("arn:%s:sns:%s:%s:%s", s.caller.Partition, s.region, s.caller.Account, s.config.Name)
}

// resource is the id of the stack's resource of a type, "" when it has none.
func (s *survey) resource(kind string) string {
	for _, r := range s.resources {
		if r.Type != kind || r.ID == "" || r.Status == "CREATE_FAILED" {
			continue
		}
		if r.Status == "DELETE_FAILED" || !strings.HasPrefix(r.Status, "DELETE") {
			return r.ID
		}
	}
	return ""
}

// lookBucket finds out whether the bucket is to be made, and whose it is.
func (s *survey) lookBucket(ctx context.Context) error {
	c := s.config
	bucket, _ := c.Store.Bucket()
	if c.Store.Endpoint != "" {
		s.notes = append(s.notes, "the store is not AWS's ("+c.Store.Endpoint+"): the bucket and access to it are made there, and nobody looks there for runs that never happened")
		return nil
	}
	s.bucketIsIn = s.resource("AWS::S3::Bucket") == bucket
	found, err := s.aws.Buckets().Look(ctx, bucket, s.caller.Account)
	switch {
	case errors.Is(err, cloud.ErrNotFound) && s.bucketIsIn:
		s.problem("store: the bucket %s, which this deployment made, has been deleted, and CloudFormation does not make it again: mayfly destroy, and then mayfly deploy, which makes a new one", bucket)
	case errors.Is(err, cloud.ErrNotFound):
		s.newBucket = true
		if r := string(c.Store.Region); r != "" && r != s.region {
			s.problem("store: bucket %s does not exist, and deploy makes buckets in the deployment's region, %s, not in %s: create it there yourself, or remove store.region", bucket, s.region, r)
		}
	case errors.Is(err, cloud.ErrDenied):
		s.problem("store: %w", err)
	case err != nil:
		return err
	case !found.Ours:
		s.problem("store: bucket %s belongs to another account: names of buckets are the whole world's: choose another", bucket)
	default:
		want := cmp.Or(string(c.Store.Region), s.region)
		if found.Region != "" && found.Region != want {
			s.problem("store: bucket %s is in %s, the config says %s: write store: {url: %q, region: %s}", bucket, found.Region, want, c.Store.URL, found.Region)
		}
	}
	return nil
}
