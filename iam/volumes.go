package iam

// TagKey is the tag that everything of a deployment has which takes tags; its
// value is the deployment's name.
const TagKey = "mayfly:deployment"

// UseVolumes is for instances that attach, mark and snapshot a deployment's
// volumes, and prune its snapshots. Whatever belongs to the deployment has the
// tag TagKey with its name; marks are the tags that an instance may put on a
// volume. Nothing creates or deletes volumes, and nothing detaches or changes
// those of others.
//
// EC2 knows no resources for what is described. A volume that is encrypted
// with a key of one's own needs UseVolumeKeys, too.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
func UseVolumes(marks ...string) []Statement {
	const volumes, instances = "arn:{partition}:ec2:{region}:{account}:volume/*", "arn:{partition}:ec2:{region}:{account}:instance/*"
	const snapshots = "arn:{partition}:ec2:{region}::snapshot/*" // of no account, in their ARNs
	here := condition{"StringLike", "ec2:Region", []string{"{region}"}}
	own := condition{"StringEquals", "aws:ResourceTag/" + TagKey, []string{"{deployment}"}}
	tagged := condition{"StringEquals", "aws:RequestTag/" + TagKey, []string{"{deployment}"}}
	return []Statement{
		allow("SeeVolumes", "ec2:DescribeVolumes", "*").when(here),
		allow("SeeSnapshots", "ec2:DescribeSnapshots", "*").when(here),
		// Both the volume and the instance have to be the deployment's.
		allow("AttachOwnVolumes", "ec2:AttachVolume", volumes, instances).when(own),
		allow("DetachOwnVolumes", "ec2:DetachVolume", volumes, instances).when(own),
		// A condition on all keys holds when there is none.
		allow("MarkOwnVolumes", "ec2:CreateTags", volumes).when(own,
			condition{"ForAllValues:StringEquals", "aws:TagKeys", marks}, condition{"Null", "aws:TagKeys", []string{"false"}}),
		// Of a volume of the deployment's, and as one of its own.
		allow("SnapshotOwnVolumes", "ec2:CreateSnapshot", volumes).when(own),
		allow("MakeOwnSnapshots", "ec2:CreateSnapshot", snapshots).when(tagged),
		allow("TagNewSnapshots", "ec2:CreateTags", snapshots).when(tagged, condition{"StringEquals", "ec2:CreateAction", []string{"CreateSnapshot"}}),
		allow("PruneOwnSnapshots", "ec2:DeleteSnapshot", snapshots).when(own),
	}
}

// UseVolumeKeys is for volumes that are encrypted with keys of one's own: EC2
// uses them in the name of whoever attaches a volume.
// https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption-requirements.html
func UseVolumeKeys(keyARNs []string) []Statement {
	through := condition{"StringLike", "kms:ViaService", []string{"ec2.{region}.{domain}"}}
	use := Statement{Sid: "UseVolumeKeys", Actions: []string{"kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext"}, Resources: keyARNs}
	return []Statement{
		use.when(through),
		allow("GrantVolumeKeys", "kms:CreateGrant", keyARNs...).when(through, condition{"Bool", "kms:GrantIsForAWSResource", []string{"true"}}),
	}
}

type condition struct {
	op, key string
	values  []string
}

func allow(sid, action string, resources ...string) Statement {
	return Statement{Sid: sid, Actions: []string{action}, Resources: resources}
}

func (s Statement) when(list ...condition) Statement {
	for _, c := range list {
		for _, v := range c.values {
			s.where(c.op, c.key, v)
		}
	}
	return s
}
