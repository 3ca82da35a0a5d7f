package stack

import "strings"

// PricesAsOf is when the prices here were looked up. Those of instances in
// us-east-1 are of AWS's price list as the Karpenter project publishes it
// (aws/karpenter-provider-aws, pkg/providers/pricing, generated 2026-01-19);
// those of other regions and services are written by hand, and only meant to
// tell cents from dollars: https://calculator.aws knows today's. They are US
// dollars without taxes, and without free tiers but for what leaves AWS.
const PricesAsOf = "2026-01-19"

// Prices that are the same in every region of the table, or nearly.
const (
	ipv4Hour        = 0.005           // https://aws.amazon.com/vpc/pricing/
	s3Put           = 0.005 / 1000    // PUT, POST, LIST: https://aws.amazon.com/s3/pricing/
	s3Get           = 0.0004 / 1000   // GET, HEAD
	outGB           = 0.09            // to the internet, beyond what is free: https://aws.amazon.com/ec2/pricing/on-demand/
	outFreeGB       = 100             // a month and account
	stateTransition = 0.025 / 1000    // https://aws.amazon.com/step-functions/pricing/
	snsMail         = 2.0 / 100_000   // https://aws.amazon.com/sns/pricing/
	secretMonth     = 0.40            // https://aws.amazon.com/secrets-manager/pricing/
	schedulerCall   = 1.0 / 1_000_000 // https://aws.amazon.com/eventbridge/pricing/
)

// regionPrices are what differs. An hour of a nano instance on demand is that
// of the other sizes too: each costs twice the one below.
type regionPrices struct {
	t4g, t3, t3a float64 // a nano's hour; 0 is none there
	gp3          float64 // GB-month
	snapshot     float64 // GB-month
	s3           float64 // GB-month, standard storage
}

var usEast1 = regionPrices{0.0042, 0.0052, 0.0047, 0.08, 0.05, 0.023}

// inRegion is what is known of a region.
func inRegion(region string) (regionPrices, bool) {
	switch region {
	case "us-east-1", "us-east-2", "us-west-2":
		return usEast1, true
	case "eu-west-1":
		return regionPrices{0.0046, 0.0057, 0.0051, 0.088, 0.05, 0.023}, true
	case "eu-central-1":
		return regionPrices{0.0048, 0.0060, 0.0054, 0.0952, 0.054, 0.0245}, true
	case "eu-north-1":
		return regionPrices{0.0043, 0.0054, 0, 0.0836, 0.05, 0.023}, true
	case "ap-southeast-2":
		return regionPrices{0.0053, 0.0066, 0.0059, 0.096, 0.055, 0.025}, true
	}
	return usEast1, false
}

// hour is the on-demand price of a type's hour, 0 where it is not known.
func (r regionPrices) hour(instanceType string) float64 {
	family, size, _ := strings.Cut(instanceType, ".")
	nano := map[string]float64{"t4g": r.t4g, "t3": r.t3, "t3a": r.t3a}[family]
	times := map[string]float64{"nano": 1, "micro": 2, "small": 4, "medium": 8, "large": 16, "xlarge": 32, "2xlarge": 64}[size]
	return nano * times
}

// volume is the price of a GB-month of an EBS volume type, 0 where it is not
// known: about the same parts of gp3's in every region.
// https://aws.amazon.com/ebs/pricing/
func (r regionPrices) volume(kind string) float64 {
	parts := map[string]float64{"gp3": 1, "gp2": 1.25, "st1": 0.5625, "sc1": 0.1875}
	return r.gp3 * parts[kind]
}

// VolumeMonth is what a month of a volume costs in US dollars, 0 where that is
// not known.
func VolumeMonth(region, kind string, gib int) float64 {
	p, _ := inRegion(region)
	return p.volume(kind) * float64(gib)
}

// SnapshotMonth is the price of a GB-month of snapshots in US dollars.
func SnapshotMonth(region string) float64 {
	p, _ := inRegion(region)
	return p.snapshot
}
