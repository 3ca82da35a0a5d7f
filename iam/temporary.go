package iam

// TemporaryKey is the tag of volumes that an instance makes for a while, and
// may delete: no volume of a host has it. Its value says what for.
const TemporaryKey = "mayfly:temporary"

// HostKey is the tag that says whose data a volume holds.
const HostKey = "mayfly:host"

// UseTemporaryVolumes is for instances that make volumes of a deployment's
// snapshots to read them, and delete these again. They are marked as temporary
// when they are made, and no permission here can mark another one so; nothing
// else is ever deleted. EC2 asks for the snapshot and for the volume.
// https://aws.amazon.com/blogs/storage/enhancing-resource-level-permission-for-creating-an-amazon-ebs-volume-from-a-snapshot
func UseTemporaryVolumes() []Statement {
	const volumes = "arn:{partition}:ec2:{region}:{account}:volume/*"
	const snapshots = "arn:{partition}:ec2:{region}::snapshot/*"
	own := condition{"StringEquals", "aws:ResourceTag/" + TagKey, []string{"{deployment}"}}
	tagged := condition{"StringEquals", "aws:RequestTag/" + TagKey, []string{"{deployment}"}}
	marked := condition{"Null", "aws:RequestTag/" + TemporaryKey, []string{"false"}}
	nobodys := condition{"Null", "aws:ResourceTag/" + HostKey, []string{"true"}}
	return []Statement{
		allow("CopyOwnSnapshots", "ec2:CreateVolume", snapshots).when(own),
		allow("MakeTemporaryVolumes", "ec2:CreateVolume", volumes).when(tagged, marked),
		allow("TagTemporaryVolumes", "ec2:CreateTags", volumes).when(tagged, marked, condition{"StringEquals", "ec2:CreateAction", []string{"CreateVolume"}}),
		allow("DeleteTemporaryVolumes", "ec2:DeleteVolume", volumes).when(own, condition{"Null", "aws:ResourceTag/" + TemporaryKey, []string{"false"}}, nobodys),
	}
}
