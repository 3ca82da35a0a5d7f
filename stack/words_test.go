package stack

import (
	"strings"
	"testing"

	"mayfly/iam"
)

func TestInWords(t *testing.T) {
	t.Parallel()
	at := iam.Place{Region: "eu-west-1", Account: "123456789012", Bucket: "backups", Prefix: "deep"}
	job := at
	job.Job, job.Prefix = "github", "deep/github"
	var p iam.Policy
	p.Add(at, iam.Read("FetchBinaryAndConfig", "admin/mayfly-*", "admin/config-*"), iam.List("TellWhatIsMissingAtBoot", "admin/*"))
	p.Add(job, iam.WriteOnce("{job}Segments", "*.zip")...)
	p.Add(job, iam.Replace("{job}Index", "index.json"))
	p.Add(at, iam.ReadParameters("/a/token", "plain"), iam.Decrypt([]string{"arn:aws:kms:eu-west-1:123456789012:key/1234"}, "ssm"))
	p.Add(at, iam.Publish(iam.TopicARN("weekly")), iam.LeaveGroup("weekly"))
	at.Deployment = "weekly"
	p.Add(at, iam.UseVolumes("mayfly:formatting", "mayfly:formatted")...)
	p.Add(at, iam.UseTemporaryVolumes()...)
	p.Add(at, iam.UseAddress("eipalloc-1")...)
	p.Add(at, iam.SetRecords("Z1", "backup.example.com")...)
	p.Add(at, iam.WriteParameter("/hosts/address"), iam.EncryptObjects("EncryptCopies", "arn:aws:kms:eu-west-1:123456789012:key/1234"), iam.PutMetrics("mayfly"))
	p.Add(at, iam.Statement{
		Sid: "ChangeTheVolume", Actions: []string{"ec2:AttachVolume", "ec2:ModifyVolume"}, Resources: []string{"arn:aws:ec2:eu-west-1:123456789012:volume/vol-1"},
		Conditions: map[string]map[string][]string{"StringEquals": {"aws:ResourceTag/Name": {"web"}}, "ForAllValues:StringEquals": {"aws:TagKeys": {"Name"}}, "Null": {"k": {"false"}}},
	})
	doc, err := p.JSON()
	if err != nil {
		t.Fatal(err)
	}
	got, err := InWords(doc)
	if err != nil {
		t.Fatal(err)
	}
	for n, line := range got[:len(got)-1] { // the last one is nobody's
		if strings.Contains(line, "act on") || strings.Contains(line, ", if ") {
			t.Errorf("statement %s is not in words: %s", p.Statements[n].Sid, line)
		}
	}
	golden(t, "words.txt", []byte(strings.Join(got, "\n")+"\n"))
	for n, s := range p.Statements {
		for _, a := range append(s.Actions, s.Resources...) {
			a, _ = strings.CutPrefix(a, "arn:aws:s3:::")
			if a == "*" && strings.Contains(got[n], "of the account") {
				continue
			}
			if !strings.Contains(got[n], a) {
				t.Errorf("%s is not in %q", a, got[n])
			}
		}
	}
}

func TestInWordsRefuses(t *testing.T) {
	t.Parallel()
	for doc, want := range map[string]string{
		`{"Statement":[{"Sid":"X","Effect":"Deny","Action":"s3:*","Resource":"*"}]}`:                         "statement 1: it is not one that allows",
		`{"Statement":[{"Effect":"Allow","NotAction":"s3:GetObject","Resource":"*"}]}`:                       "it has NotAction",
		`{"Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*","Principal":"*"}]}`:          "it has Principal",
		`{"Statement":[{"Effect":"Allow","Action":{"a":1},"Resource":"*"}]}`:                                 "Action",
		`{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}}`:                            "say the policy in words",
		`{"Statement":[{"Effect":"Allow","Action":"a:B","Resource":"r","Condition":{"Bool":{"k":"true"}}}]}`: "",
	} {
		lines, err := InWords([]byte(doc))
		if want == "" {
			if err != nil || lines[0] != "act on r, if k Bool true (a:B)" {
				t.Errorf("%s: %q, %v", doc, lines, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", doc, err)
		}
	}
}
