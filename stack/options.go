// Package stack says what a deployment is made of: the CloudFormation template,
// the times at which it starts and ends, what it costs a month, and what its
// role may do, in words. It takes values, never jobs.
package stack

import (
	"time"

	"mayfly/iam"
)

// Options are what a template is made from. The zero value of everything that
// is not marked as needed is a sensible deployment.
type Options struct {
	// Name names the deployment, its topic and its group: 2 to 32 lower-case
	// letters, digits and hyphens, beginning with a letter. Needed.
	Name string
	// Region is where the stack will be; "" is anywhere outside China and the
	// other partitions. The account is never needed: the template refers to its
	// own.
	Region   string
	Bucket   Bucket
	Topic    Topic
	Role     Role
	Instance Instance
	Network  Network
	Schedule Schedule
	Budget   Budget
	// Notices are mails about every launch and every termination. Those about
	// a failed launch come in any case.
	Notices bool
	// SkipMissedRuns leaves out the check for runs that never happened. It
	// comes with a schedule only.
	SkipMissedRuns bool
	// ConfigSum is the SHA-256 of the config that instances run by, in hex, and
	// Deadline how long a run has. The stack only puts them out, for whoever
	// starts a run by hand. "" and 0: it does not.
	ConfigSum string
	Deadline  time.Duration
	// RecycleBin keeps deleted snapshots of the deployment for so many days; 0
	// is no rule.
	RecycleBin int
}

// Bucket is where the store is.
type Bucket struct {
	Name   string // needed
	Prefix string // the store's, without slashes around it
	Region string // "" is the stack's
	// Create makes the bucket part of the stack, which then never deletes it.
	// Of one that exists nothing at all is in the template.
	Create bool
	// Noncurrent is after how many days versions that were overwritten or
	// deleted go; 0 is 30. It is for a bucket that is created.
	Noncurrent int
}

// Topic is where reports go: one's own by its ARN, or else the deployment's,
// with the addresses it is sent to.
type Topic struct {
	ARN    string
	Emails []string
}

// Role is what an instance may do, and who may take the role: JSON documents,
// as package iam makes them. Both needed.
type Role struct{ Policy, Trust []byte }

// Instance is what kind of machine does the work.
type Instance struct {
	Types []Type // needed; any of them will do
	// Images are those that are not Amazon Linux 2023.
	Images []Image
	// MaxPrice is the most to pay for a spot instance hour, in US dollars; 0
	// is the on-demand price, which is also AWS's default.
	MaxPrice float64
	// OnDemand says when to buy at the on-demand price, which is hardly ever
	// out of capacity and never interrupted; "" is never.
	OnDemand OnDemand
	// LaunchConfiguration launches the first of Types from a launch
	// configuration, for accounts that still have those, instead of a launch
	// template and a mixed instances policy. It knows no shutdown behavior: a
	// power-off only stops the instance, and it is leaving the group, or the
	// end action, that terminates it. It knows no credit specification either:
	// T3 and T4g may be billed for surplus credits. On the spot market it
	// needs MaxPrice, and from the spot market it cannot fall back.
	// https://docs.aws.amazon.com/autoscaling/ec2/userguide/launch-configurations.html
	LaunchConfiguration bool
	// RootGiB is the size of the root volume; 0 is the image's own.
	RootGiB int
	// UserData is what userdata.Render returns, neither packed nor in base64; the same for
	// every architecture. Needed.
	UserData []byte
}

// OnDemand is when an instance is bought at the on-demand price.
type OnDemand string

const (
	// OnDemandAlways is every time.
	OnDemandAlways OnDemand = "always"
	// OnDemandFallback is for a run whose spot instance could not be launched.
	// A group cannot say so itself: OnDemandPercentageAboveBaseCapacity is a
	// fixed share, with one instance all or nothing, and distribution segments
	// put Capacity Reservations before on demand, not spot. So a state machine
	// changes the share for that run, and changes it back after it.
	// https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-mixed-instances-groups.html
	// https://docs.aws.amazon.com/autoscaling/ec2/userguide/use-distribution-segments.html
	OnDemandFallback OnDemand = "fallback"
)

// Type is an instance type and the architecture of its processors: "arm64" or
// "x86_64", as EC2's DescribeInstanceTypes calls them.
type Type struct{ Name, Arch string }

// Image is what instances of one architecture boot.
type Image struct {
	Arch string // "arm64", "x86_64"
	// ID is "ami-…", or "resolve:ssm:/PARAMETER" for what the parameter says
	// when an instance is launched.
	// https://docs.aws.amazon.com/autoscaling/ec2/userguide/using-systems-manager-parameters.html
	ID string
	// RootDevice is the name of the image's root device: "/dev/xvda" of Amazon
	// Linux and Debian, "/dev/sda1" of Ubuntu.
	RootDevice string
}

// AmazonLinux is the newest Amazon Linux 2023 for an architecture.
// https://docs.aws.amazon.com/linux/al2023/ug/ec2.html
func AmazonLinux(arch string) Image {
	return Image{Arch: arch, ID: "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-" + arch, RootDevice: "/dev/xvda"}
}

// Network is where instances are.
type Network struct {
	VPC     string   // needed
	Subnets []Subnet // needed; those with a way out
	// Zones pins instances to the subnets of these Availability Zones, where
	// their volumes are; none is all.
	Zones []string
	// PublicAddress gives instances a public IPv4 address, whatever the
	// subnet says. It is for default subnets, where that address is the only
	// way out: somebody may have switched off that they give one, and an
	// instance without would be started every week, reach nothing, and have
	// nobody to tell. Elsewhere a subnet without public addresses has another
	// way out, and an address would be paid for and not work: there the subnet
	// decides.
	// https://docs.aws.amazon.com/vpc/latest/userguide/default-subnet.html
	PublicAddress bool
	// Ingress is what may come in; nothing else does.
	Ingress []Ingress
}

// Subnet is one of the VPC's.
type Subnet struct{ ID, Zone string }

// Ingress opens a TCP port to addresses in CIDR notation.
type Ingress struct {
	Port int
	From []string
}

// Schedule is when instances start and end; NewSchedule makes one.
type Schedule struct {
	// Start and End are cron's five fields. Without Start there is no
	// schedule, and the template has no parameter Armed.
	Start, End string
	Zone       string // IANA name; "" is UTC
	// Deadline is how long after its start a run ends at the latest. Needed
	// with Start.
	Deadline time.Duration
}

// Budget warns when the account costs more than USD in a month. 0: there is
// none. It is the whole account's: a budget by tag counts nothing until the
// tag has been activated for cost allocation, and says nothing about that.
// CloudFormation does not know budgets in every region.
type Budget struct {
	USD float64
	// Emails get the warnings, 10 at most; without any the topic does. One's
	// own topic must admit budgets.amazonaws.com.
	// https://docs.aws.amazon.com/cost-management/latest/userguide/budgets-sns-policy.html
	Emails []string
}

// TagKey is the tag that everything of a deployment has which takes tags; its
// value is the deployment's name.
const TagKey = iam.TagKey

// ParameterArmed is the template's one parameter that a deployment sets:
// "true" once mayfly and config are in the store. Until then there are no
// scheduled actions and no check for missed runs. A template without a
// schedule does not have it.
const ParameterArmed = "Armed"

// What a stack puts out. Besides, each launch template does under its own name,
// LaunchTemplates lists them.
const (
	OutputBucket        = "BucketName"
	OutputTopic         = "TopicArn"
	OutputRole          = "RoleArn"
	OutputGroup         = "GroupName"
	OutputSecurityGroup = "SecurityGroupId"
	OutputMissedRuns    = "MissedRunsArn" // the state machine, where there is one
	OutputConfig        = "ConfigSha256"  // of the config that instances run by
	OutputDeadline      = "Deadline"      // of a run, as time.Duration writes it
)

// Names of scheduled actions in the template.
const (
	startAction = "StartAction"
	endAction   = "EndAction"
)
