package iam_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mayfly/iam"
	"mayfly/internal/iamtest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares with testdata/NAME.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s differs; -update rewrites it. Got:\n%s", name, got)
	}
}

// everything is a policy with every kind of statement there is.
func everything(at iam.Place) *iam.Policy {
	p := new(iam.Policy)
	job := at
	job.Job = "my-git"
	job.Prefix = strings.TrimPrefix(at.Prefix+"/git", "/")
	p.Add(job, iam.WriteOnce("{job}Segments", "*.zip")...)
	p.Add(job, iam.CreateOnly("{job}List", "list.json"), iam.Replace("{job}List", "list.json"), iam.Read("{job}Read", "*"), iam.List("{job}Ages", "*"))
	p.Add(at, iam.ReadParameters("/a/token", "plain"), iam.ReadSecrets("token", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:x-AbCdEf"))
	p.Add(at, iam.Decrypt([]string{"arn:aws:kms:eu-west-1:123456789012:key/1234"}, "ssm", "secretsmanager"))
	p.Add(at, iam.Publish(iam.TopicARN("reports")), iam.LeaveGroup("weekly"))
	p.Add(at, iam.UseVolumes("mayfly:formatting", "mayfly:formatted")...)
	p.Add(at, iam.UseTemporaryVolumes()...)
	p.Add(at, iam.UseVolumeKeys([]string{"arn:aws:kms:eu-west-1:123456789012:key/5678"})...)
	p.Add(at, iam.UseAddress("eipalloc-1")...)
	p.Add(at, iam.SetRecords("Z1", "Backup.Example.com.")...)
	p.Add(at, iam.SetRecords("Z2", "*.example.org")...)
	p.Add(at, iam.WriteParameter("/hosts/address"), iam.WriteParameter("plain2"))
	return p
}

var (
	home  = iam.Place{Deployment: "weekly", Region: "eu-west-1", Account: "123456789012", Bucket: "backups", Prefix: "deep"}
	china = iam.Place{Deployment: "weekly", Partition: "aws-cn", Region: "cn-north-1", Account: "123456789012", Bucket: "backups"}
)

func TestDocuments(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]iam.Place{
		"policy.json": home, "policy-cn.json": china,
		"policy-nowhere.json": {}, // a store that is no bucket, nothing known
	} {
		b, err := everything(at).JSON()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		golden(t, name, b)
		if again, _ := everything(at).JSON(); string(again) != string(b) {
			t.Errorf("%s: not the same twice", name)
		}
		if _, err := iamtest.Parse(b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	golden(t, "trust.json", iam.Trust(""))
	golden(t, "trust-cn.json", iam.Trust("aws-cn"))
}

func TestAllows(t *testing.T) {
	t.Parallel()
	doc, err := everything(home).JSON()
	if err != nil {
		t.Fatal(err)
	}
	p, err := iamtest.Parse(doc)
	if err != nil {
		t.Fatal(err)
	}
	type context = map[string]string
	isNew := context{"s3:if-none-match": "*", "s3:ObjectCreationOperation": "true"}
	replaces := context{"s3:if-match": `"etag"`, "s3:ObjectCreationOperation": "true"}
	bare := context{"s3:ObjectCreationOperation": "true"}
	part := context{"s3:ObjectCreationOperation": "false"}
	const bucket, region = "arn:aws:s3:::backups", "eu-west-1:123456789012:"
	const zip = bucket + "/deep/git/octo/site/20261120T170412Z/0000-full.zip"
	for _, tt := range []struct {
		action, resource string
		context          context
		sid              string
	}{
		{"s3:PutObject", zip, isNew, "MyGitSegmentsOnlyNew"},
		{"s3:PutObject", zip, part, "MyGitSegmentsInParts"},
		{"s3:PutObject", zip, bare, ""},
		{"s3:PutObject", zip, replaces, ""},
		{"s3:PutObject", bucket + "/git/0000-full.zip", isNew, ""},
		{"s3:PutObject", bucket + "/deep/gitx/0000-full.zip", isNew, ""},
		{"s3:PutObject", bucket + "/deep/git/other.txt", isNew, ""},
		{"s3:PutObject", "arn:aws:s3:::backups2/deep/git/0000-full.zip", isNew, ""},
		{"s3:PutObject", bucket + "/deep/git/list.json", isNew, "MyGitListOnlyNew"},
		{"s3:PutObject", bucket + "/deep/git/list.json", replaces, "MyGitListIfUnchanged"},
		{"s3:PutObject", bucket + "/deep/git/list.json", bare, ""},
		{"s3:PutObject", bucket + "/deep/git/list.json", part, ""},
		{"s3:AbortMultipartUpload", zip, nil, "MyGitSegmentsDropUnfinished"},
		{"s3:AbortMultipartUpload", bucket + "/deep/git/list.json", nil, ""},
		{"s3:ListBucketMultipartUploads", bucket, nil, "FindUnfinishedUploads"},
		{"s3:GetObject", zip, nil, "MyGitRead"},
		{"s3:GetObject", bucket + "/deep/runs/lock.json", nil, ""},
		{"s3:DeleteObject", zip, nil, ""},
		{"s3:ListBucket", bucket, context{"s3:prefix": "deep/git/"}, "MyGitAges"},
		{"s3:ListBucket", bucket, context{"s3:prefix": "deep/git/octo"}, "MyGitAges"},
		{"s3:ListBucket", bucket, context{"s3:prefix": "deep/"}, ""},
		{"s3:ListBucket", bucket, context{"s3:prefix": ""}, ""},
		{"s3:ListBucket", bucket, nil, ""},
		{"ssm:GetParameter", "arn:aws:ssm:" + region + "parameter/a/token", nil, "ReadParameters"},
		{"ssm:GetParameter", "arn:aws:ssm:" + region + "parameter/plain", nil, "ReadParameters"},
		{"ssm:GetParameter", "arn:aws:ssm:" + region + "parameter/a/token2", nil, ""},
		{"ssm:GetParameters", "arn:aws:ssm:" + region + "parameter/a/token", nil, ""},
		{"secretsmanager:GetSecretValue", "arn:aws:secretsmanager:" + region + "secret:token-a1B2c3", nil, "ReadSecrets"},
		{"secretsmanager:GetSecretValue", "arn:aws:secretsmanager:" + region + "secret:token-more-a1B2c3", nil, ""},
		{"secretsmanager:GetSecretValue", "arn:aws:secretsmanager:" + region + "secret:x-AbCdEf", nil, "ReadSecrets"},
		{"kms:Decrypt", "arn:aws:kms:eu-west-1:123456789012:key/1234", context{"kms:ViaService": "ssm.eu-west-1.amazonaws.com"}, "DecryptSecrets"},
		{"kms:Decrypt", "arn:aws:kms:eu-west-1:123456789012:key/1234", context{"kms:ViaService": "s3.eu-west-1.amazonaws.com"}, ""},
		{"kms:Decrypt", "arn:aws:kms:eu-west-1:123456789012:key/1234", nil, ""},
		{"sns:Publish", "arn:aws:sns:" + region + "reports", nil, "SendTheReport"},
		{"sns:Publish", "arn:aws:sns:" + region + "reports2", nil, ""},
		{"autoscaling:TerminateInstanceInAutoScalingGroup", "arn:aws:autoscaling:" + region + "autoScalingGroup:1b2c-3d:autoScalingGroupName/weekly", nil, "LeaveTheGroup"},
		{"autoscaling:TerminateInstanceInAutoScalingGroup", "arn:aws:autoscaling:" + region + "autoScalingGroup:1b2c-3d:autoScalingGroupName/weekly2", nil, ""},
		{"ec2:TerminateInstances", "arn:aws:ec2:" + region + "instance/i-0abc", nil, ""},
	} {
		if sid := p.Allows(iamtest.Request{Action: tt.action, Resource: tt.resource, Context: tt.context}); sid != tt.sid {
			t.Errorf("%s on %s with %v: allowed by %q, want %q", tt.action, tt.resource, tt.context, sid, tt.sid)
		}
	}
}

// TestLiteral keeps wildcards in a store's prefix from being any.
func TestLiteral(t *testing.T) {
	t.Parallel()
	at := home
	at.Prefix = "what*$?"
	var p iam.Policy
	p.Add(at, iam.Read("Read", "x"))
	doc, err := p.JSON()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := iamtest.Parse(doc)
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"what*$?/x": "Read", "whatever$?/x": "", "what*$!/x": ""} {
		if sid := parsed.Allows(iamtest.Request{Action: "s3:GetObject", Resource: "arn:aws:s3:::backups/" + key}); sid != want {
			t.Errorf("%s: allowed by %q, want %q", key, sid, want)
		}
	}
}

func TestAdd(t *testing.T) {
	t.Parallel()
	var p iam.Policy
	one := iam.Read("Read", "one")
	p.Add(home, one, iam.Read("Read", "two"), one, iam.Read("Read", "two"), iam.Read("Read", "three"))
	var sids []string
	for _, s := range p.Statements {
		sids = append(sids, s.Sid)
	}
	if want := []string{"Read", "Read2", "Read3"}; !slices.Equal(sids, want) {
		t.Errorf("statements %q, want %q", sids, want)
	}
	if got, want := p.Actions(), []string{"s3:GetObject"}; !slices.Equal(got, want) {
		t.Errorf("actions %q, want %q", got, want)
	}
}

// TestRefuses what IAM would refuse, or take to mean too much.
func TestRefuses(t *testing.T) {
	t.Parallel()
	long := new(iam.Policy)
	for i := range 60 {
		at := home
		at.Job = fmt.Sprintf("job%d", i)
		long.Add(at, iam.Read("{job}", strings.Repeat("x", 150)))
	}
	for want, p := range map[string]*iam.Policy{
		"would allow nothing":           {},
		"letters and digits only":       {Statements: []iam.Statement{{Sid: "a-b", Actions: []string{"s3:GetObject"}, Resources: []string{"arn:aws:s3:::b/c"}}}},
		"needs an action":               {Statements: []iam.Statement{{Sid: "a", Resources: []string{"arn:aws:s3:::b/c"}}}},
		`"s3:*" is not one action`:      {Statements: []iam.Statement{{Sid: "a", Actions: []string{"s3:*"}, Resources: []string{"arn:aws:s3:::b/c"}}}},
		`"*" is not an ARN`:             {Statements: []iam.Statement{{Sid: "a", Actions: []string{"s3:GetObject"}, Resources: []string{"*"}}}},
		`"arn:aws:s3:::{x}" is not an`:  {Statements: []iam.Statement{{Sid: "a", Actions: []string{"s3:GetObject"}, Resources: []string{"arn:aws:s3:::{x}"}}}},
		"a role takes 10240: split the": long,
	} {
		if b, err := p.JSON(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want error %q, got %v, document %s", want, err, b)
		}
	}
}

func TestPartition(t *testing.T) {
	t.Parallel()
	for region, want := range map[string]string{
		"": "aws", "eu-west-1": "aws", "us-east-1": "aws", "cn-north-1": "aws-cn", "us-gov-west-1": "aws-us-gov", "eusc-de-east-1": "aws-eusc",
	} {
		if got := iam.Partition(region); got != want {
			t.Errorf("%s: %s, want %s", region, got, want)
		}
	}
}
