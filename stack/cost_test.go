package stack

import (
	"math"
	"os"
	"strings"
	"testing"
	"time"
)

// usages are those of docs/cost.md, by the name of their golden file.
func usages() map[string]Usage {
	return map[string]Usage{
		"weekly": { // all the repositories of an account, every Friday
			Region: "eu-west-1", Type: "t4g.nano", HourPrice: 0.0017, Starts: 52.0 / 12, Run: 5 * time.Minute, Deadline: 2 * time.Hour,
			PublicAddress: true, StoredGiB: 2, MissedRuns: true, Budget: true,
		},
		"weeklydeadline": { // the same, as far as a config says
			Region: "eu-west-1", Type: "t4g.nano", Starts: 52.0 / 12, Deadline: 2 * time.Hour, PublicAddress: true, MissedRuns: true,
		},
		"hosts": { // four hosts, 3.6 hours every night, each with a volume of 5 GB and 20 GB of snapshots in all
			Region: "us-east-1", Type: "t4g.small", Starts: 365.0 / 12, Run: 3*time.Hour + 36*time.Minute, Deadline: 4 * time.Hour,
			PublicAddress: true, VolumesGiB: 20, SnapshotsGiB: 20, MissedRuns: true,
		},
		"onevolume": { // 10 GB on one volume, half an hour every night, and a snapshot of it
			Region: "us-east-1", Type: "t4g.nano", Starts: 365.0 / 12, Run: 30 * time.Minute, Deadline: 2 * time.Hour,
			PublicAddress: true, VolumesGiB: 10, SnapshotsGiB: 10, MissedRuns: true,
		},
		"three": { // three servers, an hour every night, 20 + 20 + 100 GB of volumes, and as much again in snapshots
			Region: "eu-west-1", Type: "t4g.micro", Starts: 365.0 / 12, Run: time.Hour, Deadline: 4 * time.Hour,
			PublicAddress: true, VolumesGiB: 140, SnapshotsGiB: 140, Records: 1, MissedRuns: true,
		},
		"push": { // three hosts with volumes of several types, found by an Elastic IP and a name
			Region: "eu-west-1", Type: "t4g.small", HourPrice: 0.006, Starts: 365.0 / 12, Deadline: 4 * time.Hour,
			PublicAddress: true, VolumesGiB: 20, OtherVolumes: map[string]int{"st1": 500, "gp2": 10}, ElasticIPs: 1, Records: 1, MissedRuns: true,
		},
		"unknown": {Region: "sa-east-1", Type: "c7g.medium", Starts: 30, Deadline: time.Hour, OnDemand: true, Secrets: 2, OutGB: 150},
	}
}

func TestCostTable(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../docs/cost.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, u := range usages() {
		table := CostTable(Cost(u))
		golden(t, "cost-"+name+".txt", []byte(table))
		if name != "unknown" && name != "push" && !strings.Contains(string(doc), "```\n"+table+"```\n") {
			t.Errorf("docs/cost.md does not have the table of %s:\n%s", name, table)
		}
		for line := range strings.Lines(table) {
			if strings.TrimRight(line, " \n") != strings.TrimSuffix(line, "\n") {
				t.Errorf("%s: blanks at the end of %q", name, line)
			}
		}
	}
}

func TestCost(t *testing.T) {
	t.Parallel()
	find := func(lines []Line, what string) Line {
		for _, l := range lines {
			if l.What == what {
				return l
			}
		}
		t.Fatalf("no line for %s", what)
		return Line{}
	}
	near := func(what string, got, want float64) {
		if math.Abs(got-want) > 0.005 {
			t.Errorf("%s: %v dollars, want %v", what, got, want)
		}
	}
	hosts := Cost(usages()["hosts"])
	const hours = 3.6 * 365 / 12
	near("instance", find(hosts, "t4g.small spot").USD, hours*0.0168)
	near("address", find(hosts, "public IPv4 address").USD, hours*0.005)
	near("root volume", find(hosts, "root volume").USD, 8*hours/730*0.08)
	near("volumes", find(hosts, "volumes").USD, 1.6)
	near("snapshots", find(hosts, "snapshots").USD, 1)
	if check := find(hosts, "check for missed runs").USD; check <= 0 || check > 0.01 {
		t.Errorf("looking for missed runs costs %v", check)
	}
	sum := 0.0
	for _, l := range hosts {
		sum += l.USD
		if l.USD != l.Count*l.Price || l.USD < 0 {
			t.Errorf("%+v", l)
		}
	}
	if total, all := Total(hosts); total != sum || !all {
		t.Errorf("total %v %v, want %v", total, all, sum)
	}

	other := Cost(usages()["unknown"])
	if l := find(other, "c7g.medium on demand"); !l.Unknown || l.USD != 0 || !strings.Contains(l.Note, "of sa-east-1 are not known") {
		t.Errorf("%+v", l)
	}
	if _, all := Total(other); all {
		t.Error("the total is said to be all")
	}
	near("secrets", find(other, "secrets").USD, 0.8)
	near("data out", find(other, "data out").USD, 50*0.09)

	u := usages()["weekly"]
	u.Fallback = true
	if l := find(Cost(u), "fallback to on demand"); l.USD <= 0 || l.USD > 0.01 || l.Count != u.Starts {
		t.Errorf("%+v", l)
	}
	if l := find(Cost(u), "t4g.nano spot"); !strings.Contains(l.Note, "on demand, when it must be, 0.0046 an hour") {
		t.Errorf("%+v", l)
	}
	u.Fallback, u.StoredGiB = false, 0
	if l := find(Cost(u), "S3 storage"); l.Note != "for every 10 GB kept: 0.23" {
		t.Errorf("%+v", l)
	}
	cheap, dear := Cost(u)[0].USD, 0.0
	u.HourPrice = 0
	if dear = Cost(u)[0].USD; dear <= cheap {
		t.Errorf("on-demand %v, spot %v", dear, cheap)
	}
}

func TestPrices(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		region, name string
		want         float64
	}{
		{"us-east-1", "t4g.nano", 0.0042}, {"us-east-1", "t3.xlarge", 0.1664}, {"us-east-1", "t3a.small", 0.0188},
		{"eu-central-1", "t4g.large", 0.0768}, {"eu-west-1", "t3.micro", 0.0114}, {"ap-southeast-2", "t4g.small", 0.0212},
		{"eu-north-1", "t3a.nano", 0}, {"us-east-1", "t4g.metal", 0}, {"us-east-1", "m7g.medium", 0},
	} {
		p, known := inRegion(tt.region)
		if got := p.hour(tt.name); !known || math.Abs(got-tt.want) > 1e-9 {
			t.Errorf("%s in %s: %v, want %v", tt.name, tt.region, got, tt.want)
		}
	}
	if _, known := inRegion("mars-1"); known {
		t.Error("prices of Mars")
	}
}

func TestStartsPerMonth(t *testing.T) {
	t.Parallel()
	for start, want := range map[string]float64{"0 17 * * FRI": 53.0 / 12, "0 1 * * *": 365.0 / 12, "0 * * * *": 365 * 24 / 12.0, "0 1 1 * *": 1} {
		if got, err := StartsPerMonth(start, "", epoch); err != nil || got != want {
			t.Errorf("%s: %v, %v, want %v", start, got, err, want)
		}
	}
	for _, start := range []string{"0 0 30 2 *", "x"} {
		if _, err := StartsPerMonth(start, "", epoch); err == nil {
			t.Errorf("%s has starts", start)
		}
	}
	if _, err := StartsPerMonth("0 1 * * *", "Mars", epoch); err == nil {
		t.Error("there is a time zone Mars")
	}
}
