package command

import (
	"net/netip"
	"time"
)

// groupOptions say what a command's processes may not do.
type groupOptions struct {
	mark      string // a variable, NAME=value, that all of them have
	memory    int64  // bytes, 0: no limit
	processes int    // the most there may be at once, where that can be limited
	required  bool   // no command without that limit
	confined  bool   // unprivileged for good, and kept from blocked
	blocked   []netip.Addr
	uid       int  // of a confined command, and of one with sweep
	sweep     bool // what others start for its user ends with it, too
}

const (
	// maxProcesses is how many processes and threads a command may have at
	// once.
	maxProcesses = 2048
	// settleTime is what processes have to end by themselves when the command
	// has: the last of a pipeline, say.
	settleTime = 500 * time.Millisecond
	// killTime is what SIGKILL has to take effect.
	killTime = time.Second
	// cleanTime is what there is to remove what outlasts processes.
	cleanTime = 2 * time.Second
)

// metadataAddresses are where an instance's credentials are to be had, by
// IPv4 and IPv6: EC2's metadata, and the agents of ECS and EKS.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
func metadataAddresses() []netip.Addr {
	return []netip.Addr{
		netip.MustParseAddr("169.254.169.254"), netip.MustParseAddr("169.254.170.2"), netip.MustParseAddr("169.254.170.23"),
		netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("fd00:ec2::23"),
	}
}
