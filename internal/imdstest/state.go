package imdstest

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// A State is what the service says about its instance.
type State struct {
	ID      string // "i-0123456789abcdef0"
	Type    string // "t4g.nano"
	Arch    string // "arm64" or "x86_64"
	Zone    string // "eu-west-1b": the region is all but the letter
	Account string
	Image   string
	Market  string            // "spot" or "on-demand"
	IPv4    string            // the public one; "": only the private 10.0.0.10
	IPv6    []string          // of the network interface
	Tags    map[string]string // nil: tags are not allowed in metadata
	// Role is the name of the instance profile's role; "" means that the
	// instance has no profile.
	Role        string
	Credentials Credentials
	// Lifecycle is the state that the group is bringing the instance to:
	// "InService", "Terminated"; "" means that the instance is in no group.
	Lifecycle string
	// Action is the spot interruption notice: "terminate", "stop" or
	// "hibernate", and when; "" means none.
	Action     string
	ActionTime time.Time
	Rebalance  time.Time // of the rebalance recommendation; zero: none
	UserData   []byte    // nil: none
}

// Credentials are the role's. Code is what AWS puts there when it cannot
// assume the role, "AssumeRoleUnauthorizedAccess"; "" means success.
type Credentials struct {
	AccessKey, SecretKey, Token string
	Expires                     time.Time
	Code                        string
}

// Default is a spot instance with a role, in service in its group.
func Default() State {
	return State{
		ID: "i-0123456789abcdef0", Type: "t4g.nano", Arch: "arm64", Zone: "eu-west-1b",
		Account: "123456789012", Image: "ami-0123456789abcdef0", Market: "spot",
		Role: "onlinebackup", Lifecycle: "InService",
		Credentials: Credentials{
			AccessKey: "AKIDEXAMPLE", SecretKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
			Token: "session-1", Expires: time.Now().Add(6 * time.Hour),
		},
	}
}

// Region is the one that the zone is in.
func (s *State) Region() string { return strings.TrimRight(s.Zone, "abcdefghijklmnopqrstuvwxyz") }

// lookup finds the text of a path, "meta-data/instance-id". A directory's text
// lists what is in it, further directories with a slash behind them.
func (s *State) lookup(path string) (string, bool) {
	files := s.files()
	if text, ok := files[path]; ok {
		return text, true
	}
	dir := strings.TrimSuffix(path, "/") + "/"
	if dir == "/" {
		dir = ""
	}
	var names []string
	for file := range files {
		if rest, ok := strings.CutPrefix(file, dir); ok {
			name, _, deeper := strings.Cut(rest, "/")
			if deeper && !strings.HasSuffix(dir, "security-credentials/") {
				name += "/"
			}
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), "\n"), len(names) > 0
}

// mac is the network interface's.
const mac = "0a:ff:d0:8a:12:34"

// files is all there is, by path.
func (s *State) files() map[string]string {
	const meta = "meta-data/"
	files := map[string]string{
		meta + "ami-id":                      s.Image,
		meta + "hostname":                    "ip-10-0-0-10." + s.Region() + ".compute.internal",
		meta + "local-hostname":              "ip-10-0-0-10." + s.Region() + ".compute.internal",
		meta + "local-ipv4":                  "10.0.0.10",
		meta + "instance-id":                 s.ID,
		meta + "instance-life-cycle":         s.Market,
		meta + "instance-type":               s.Type,
		meta + "mac":                         mac,
		meta + "placement/availability-zone": s.Zone,
		meta + "placement/region":            s.Region(),
		meta + "services/domain":             "amazonaws.com",
		meta + "services/partition":          "aws",
		"dynamic/instance-identity/document": s.document(),
	}
	if s.IPv4 != "" {
		files[meta+"public-ipv4"] = s.IPv4
	}
	if len(s.IPv6) > 0 {
		files[meta+"ipv6"] = s.IPv6[0]
		// Only then: cloud-init sets up the network interfaces that stand here,
		// and no others, and a test's virtual machine has none with this MAC.
		files[meta+"network/interfaces/macs/"+mac+"/ipv6s"] = strings.Join(s.IPv6, "\n")
	}
	if s.UserData != nil {
		files["user-data"] = string(s.UserData)
	}
	for name, value := range s.Tags {
		files[meta+"tags/instance/"+name] = value
	}
	if s.Lifecycle != "" {
		files[meta+"autoscaling/target-lifecycle-state"] = s.Lifecycle
	}
	if s.Role != "" {
		files[meta+"iam/info"] = toJSON(map[string]any{
			"Code": "Success", "LastUpdated": stamp(time.Now()), "InstanceProfileId": "AIPAEXAMPLE",
			"InstanceProfileArn": "arn:aws:iam::" + s.Account + ":instance-profile/" + s.Role,
		})
		files[meta+"iam/security-credentials/"+s.Role] = s.Credentials.document()
	}
	if s.Action != "" {
		files[meta+"spot/instance-action"] = toJSON(map[string]any{"action": s.Action, "time": stamp(s.ActionTime)})
		if s.Action == "terminate" {
			files[meta+"spot/termination-time"] = stamp(s.ActionTime)
		}
	}
	if !s.Rebalance.IsZero() {
		files[meta+"events/recommendations/rebalance"] = toJSON(map[string]any{"noticeTime": stamp(s.Rebalance)})
	}
	return files
}

// document is the instance identity document.
func (s *State) document() string {
	return toJSON(map[string]any{
		"accountId": s.Account, "architecture": s.Arch, "availabilityZone": s.Zone, "imageId": s.Image,
		"instanceId": s.ID, "instanceType": s.Type, "pendingTime": "2026-11-20T17:00:00Z",
		"privateIp": "10.0.0.10", "region": s.Region(), "version": "2017-09-30",
	})
}

func (c Credentials) document() string {
	if c.Code != "" {
		return toJSON(map[string]any{"Code": c.Code, "Message": "EC2 cannot assume the role.", "LastUpdated": stamp(time.Now())})
	}
	return toJSON(map[string]any{
		"Code": "Success", "LastUpdated": stamp(time.Now()), "Type": "AWS-HMAC",
		"AccessKeyId": c.AccessKey, "SecretAccessKey": c.SecretKey, "Token": c.Token, "Expiration": stamp(c.Expires),
	})
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

func toJSON(v map[string]any) string {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic("imdstest: " + err.Error()) // strings and nothing else: cannot happen
	}
	return string(b)
}
