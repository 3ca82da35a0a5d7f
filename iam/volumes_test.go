package iam_test

import (
	"testing"

	"mayfly/internal/iamtest"
)

// An instance reaches the volumes and snapshots of its own deployment only.
func TestAllowsVolumes(t *testing.T) {
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
	const region = "arn:aws:ec2:eu-west-1:123456789012:"
	const volume, instance, snapshot = region + "volume/vol-1", region + "instance/i-1", "arn:aws:ec2:eu-west-1::snapshot/snap-1"
	const key = "arn:aws:kms:eu-west-1:123456789012:key/5678"
	with := func(more context) context {
		c := context{"aws:ResourceTag/mayfly:deployment": "weekly", "ec2:Region": "eu-west-1"}
		for k, v := range more {
			c[k] = v
		}
		return c
	}
	own, others := with(nil), with(context{"aws:ResourceTag/mayfly:deployment": "weekly2"})
	untagged := context{"ec2:Region": "eu-west-1"}
	requested := func(name string) context {
		return context{"aws:RequestTag/mayfly:deployment": name, "ec2:CreateAction": "CreateSnapshot"}
	}
	for _, tt := range []struct {
		action, resource string
		context          context
		sid              string
	}{
		{"ec2:DescribeVolumes", "*", untagged, "SeeVolumes"},
		{"ec2:DescribeVolumes", "*", context{"ec2:Region": "us-east-1"}, ""},
		{"ec2:DescribeSnapshots", "*", untagged, "SeeSnapshots"},
		{"ec2:DescribeInstances", "*", untagged, ""},
		{"kms:CreateGrant", key, context{"kms:ViaService": "ec2.eu-west-1.amazonaws.com", "kms:GrantIsForAWSResource": "true"}, "GrantVolumeKeys"},
		{"kms:CreateGrant", key, context{"kms:ViaService": "ec2.eu-west-1.amazonaws.com", "kms:GrantIsForAWSResource": "false"}, ""},
		{"kms:CreateGrant", key, context{"kms:GrantIsForAWSResource": "true"}, ""},
		{"kms:GenerateDataKeyWithoutPlaintext", key, context{"kms:ViaService": "ec2.eu-west-1.amazonaws.com"}, "UseVolumeKeys"},
		{"kms:Decrypt", key, context{"kms:ViaService": "ssm.eu-west-1.amazonaws.com"}, ""},
		{"kms:GenerateDataKey", key, context{"kms:ViaService": "ec2.eu-west-1.amazonaws.com"}, ""},
		{"ec2:AttachVolume", volume, own, "AttachOwnVolumes"},
		{"ec2:AttachVolume", instance, own, "AttachOwnVolumes"},
		{"ec2:AttachVolume", volume, others, ""},
		{"ec2:AttachVolume", instance, others, ""},
		{"ec2:AttachVolume", volume, untagged, ""},
		{"ec2:DetachVolume", volume, own, "DetachOwnVolumes"},
		{"ec2:DetachVolume", instance, own, "DetachOwnVolumes"},
		{"ec2:DetachVolume", volume, others, ""},
		{"ec2:CreateTags", volume, with(context{"aws:TagKeys": "mayfly:formatted"}), "MarkOwnVolumes"},
		{"ec2:CreateTags", volume, with(context{"aws:TagKeys": "mayfly:formatting,mayfly:formatted"}), "MarkOwnVolumes"},
		{"ec2:CreateTags", volume, with(context{"aws:TagKeys": "mayfly:formatting,mayfly:host"}), ""},
		{"ec2:CreateTags", volume, with(context{"aws:TagKeys": "mayfly:deployment"}), ""},
		{"ec2:CreateTags", volume, own, ""},
		{"ec2:CreateTags", volume, context{"aws:TagKeys": "mayfly:formatted"}, ""},
		{"ec2:CreateTags", instance, with(context{"aws:TagKeys": "mayfly:formatted"}), ""},
		{"ec2:DeleteTags", volume, own, ""},
		{"ec2:CreateSnapshot", volume, own, "SnapshotOwnVolumes"},
		{"ec2:CreateSnapshot", volume, others, ""},
		{"ec2:CreateSnapshot", snapshot, requested("weekly"), "MakeOwnSnapshots"},
		{"ec2:CreateSnapshot", snapshot, requested("weekly2"), ""},
		{"ec2:CreateSnapshot", snapshot, nil, ""},
		{"ec2:CreateTags", snapshot, requested("weekly"), "TagNewSnapshots"},
		{"ec2:CreateTags", snapshot, requested("weekly2"), ""},
		{"ec2:CreateTags", snapshot, context{"aws:RequestTag/mayfly:deployment": "weekly"}, ""},
		{"ec2:DeleteSnapshot", snapshot, own, "PruneOwnSnapshots"},
		{"ec2:DeleteSnapshot", snapshot, others, ""},
		{"ec2:DeleteSnapshot", snapshot, untagged, ""},
		{"ec2:CreateVolume", volume, own, ""},
		{"ec2:CreateVolume", volume, context{"aws:RequestTag/mayfly:deployment": "weekly", "aws:RequestTag/mayfly:temporary": "x"}, "MakeTemporaryVolumes"},
		{"ec2:CreateVolume", volume, context{"aws:RequestTag/mayfly:deployment": "weekly"}, ""},
		{"ec2:CreateVolume", volume, context{"aws:RequestTag/mayfly:deployment": "weekly2", "aws:RequestTag/mayfly:temporary": "x"}, ""},
		{"ec2:CreateVolume", snapshot, own, "CopyOwnSnapshots"},
		{"ec2:CreateVolume", snapshot, others, ""},
		{"ec2:CreateVolume", snapshot, untagged, ""},
		{"ec2:CreateTags", volume, context{"aws:RequestTag/mayfly:deployment": "weekly", "aws:RequestTag/mayfly:temporary": "x", "ec2:CreateAction": "CreateVolume"}, "TagTemporaryVolumes"},
		{"ec2:CreateTags", volume, context{"aws:RequestTag/mayfly:deployment": "weekly", "aws:RequestTag/mayfly:temporary": "x"}, ""},
		{"ec2:CreateTags", volume, with(context{"aws:TagKeys": "mayfly:temporary"}), ""},
		{"ec2:DeleteVolume", volume, own, ""},
		{"ec2:DeleteVolume", volume, with(context{"aws:ResourceTag/mayfly:temporary": "x"}), "DeleteTemporaryVolumes"},
		{"ec2:DeleteVolume", volume, context{"aws:ResourceTag/mayfly:deployment": "weekly2", "aws:ResourceTag/mayfly:temporary": "x"}, ""},
		{"ec2:DeleteVolume", volume, context{"aws:ResourceTag/mayfly:temporary": "x"}, ""},
		{"ec2:DeleteVolume", volume, with(context{"aws:ResourceTag/mayfly:temporary": "x", "aws:ResourceTag/mayfly:host": "web"}), ""},
		{"ec2:ModifyVolume", volume, own, ""},
	} {
		if sid := p.Allows(iamtest.Request{Action: tt.action, Resource: tt.resource, Context: tt.context}); sid != tt.sid {
			t.Errorf("%s on %s with %v: allowed by %q, want %q", tt.action, tt.resource, tt.context, sid, tt.sid)
		}
	}
}
