package stack

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// Usage is what a deployment uses, as far as it is known; Cost estimates the
// rest. A month is a twelfth of a year, 730 hours.
type Usage struct {
	Region string
	Type   string // the instance type that is likely to be launched
	// HourPrice is what an hour of it costs now, such as its spot price; 0 is
	// the on-demand price of a table in this package, the most that spot costs
	// by default.
	HourPrice float64
	OnDemand  bool // always
	Fallback  bool // to on demand, see OnDemandFallback
	// Starts are how often it runs in a month; StartsPerMonth counts them.
	Starts float64
	// Run is how long a run takes as a rule; 0 is until the Deadline, which is
	// the most.
	Run, Deadline time.Duration
	PublicAddress bool           // see Network
	RootGiB       int            // 0 is 8, as Amazon Linux 2023 has
	VolumesGiB    int            // of hosts' volumes of the type gp3, which are there all month
	OtherVolumes  map[string]int // GiB of those of other types: gp2, st1, sc1
	SnapshotsGiB  float64        // 0 with volumes: not known
	ElasticIPs    int            // of the user's own, which are paid for all month
	Records       int            // in hosted zones of the user's own
	StoredGiB     float64        // in the bucket, old versions included
	// Puts and Gets are requests to the bucket in a month. 0 is what a run
	// itself makes: its start, report and lock, and a piece of log every 15 s.
	Puts, Gets float64
	OutGB      float64 // leaves AWS in a month: restores, mostly
	MissedRuns bool    // see Options.SkipMissedRuns
	Mails      float64 // in a month; 0 is one for each run
	Secrets    int     // in Secrets Manager; parameters of Systems Manager cost nothing
	Budget     bool
}

// A Line is one thing that costs, in US dollars.
type Line struct {
	What  string
	Count float64 // how many of Unit in a month
	Unit  string
	Price float64 // of one
	USD   float64 // a month
	// Unknown says that the price is not known; USD is 0 then, and the total
	// is only a part.
	Unknown bool
	Note    string
}

const (
	monthHours = 730
	rootGiB    = 8
	// What one check for missed runs passes through when all is well.
	checkTransitions = 9
	// What a fallback passes through before and after its looks at the group,
	// and with each.
	fallbackTransitions = 9
	lookTransitions     = 3
)

// Cost is what a deployment costs in a month, a line for everything, also what
// comes to nothing: nobody should have to wonder what was forgotten. It is an
// estimate; see PricesAsOf.
func Cost(u Usage) []Line {
	p, known := inRegion(u.Region)
	hours := u.Starts * u.run().Hours()
	gib := func(n, hours float64) float64 { return n * hours / monthHours }
	root := float64(u.RootGiB)
	if root == 0 {
		root = rootGiB
	}
	puts, gets, guess := u.Puts, u.Gets, ""
	if puts == 0 {
		guess = "at most, if it has something to log all the time"
		puts = u.Starts * (8 + u.run().Seconds()/15 + u.run().Seconds()/30) // with the lock's renewals
	}
	if gets == 0 {
		gets = u.Starts * 20
	}
	mails := u.Mails
	if mails == 0 {
		mails = u.Starts
	}
	lines := []Line{
		u.instance(p, hours),
		{What: "public IPv4 address", Count: hours * oneIf(u.PublicAddress), Unit: "hours", Price: ipv4Hour},
		{What: "root volume", Count: gib(root, hours), Unit: "GB-months", Price: p.gp3, Note: fmt.Sprintf("%g GB while it runs", root)},
		{What: "volumes", Count: float64(u.VolumesGiB), Unit: "GB-months", Price: p.gp3},
		{What: "snapshots", Count: u.SnapshotsGiB, Unit: "GB-months", Price: p.snapshot},
		{What: "S3 storage", Count: u.StoredGiB, Unit: "GB-months", Price: p.s3},
		{What: "S3 writes", Count: puts, Unit: "requests", Price: s3Put, Note: guess},
		{What: "S3 reads", Count: gets, Unit: "requests", Price: s3Get},
		{What: "data in", Unit: "GB"},
		{What: "data out", Count: math.Max(0, u.OutGB-outFreeGB), Unit: "GB", Price: outGB},
		{What: "check for missed runs", Count: u.Starts * oneIf(u.MissedRuns), Unit: "checks", Price: checkTransitions*stateTransition + schedulerCall + 2*s3Put},
		{What: "mails", Count: mails, Unit: "mails", Price: snsMail},
		{What: "secrets", Count: float64(u.Secrets), Unit: "secrets", Price: secretMonth},
		{What: "budget", Count: oneIf(u.Budget), Unit: "budget"},
	}
	lines = slices.Insert(lines, 5, u.hosts(p)...) // behind the snapshots
	if u.Fallback {
		looks := math.Ceil(float64(u.run())/float64(lookEvery)) + 1
		lines = append(lines, Line{
			What: "fallback to on demand", Count: u.Starts, Unit: "fallbacks",
			Price: (fallbackTransitions + lookTransitions*looks) * stateTransition, Note: "if every run needed it; the instance costs more then",
		})
	}
	for i := range lines {
		l := &lines[i]
		l.USD = l.Count * l.Price
		switch {
		case l.What == "S3 storage" && l.Count == 0:
			l.Note = fmt.Sprintf("for every 10 GB kept: %.2f", 10*l.Price)
		case l.What == "snapshots" && l.Count == 0 && u.VolumesGiB+len(u.OtherVolumes) > 0:
			l.Note = fmt.Sprintf("for every 10 GB of them: %.2f; each holds only what has changed since the one before", 10*l.Price)
		case l.What == "data out" && l.Count == 0:
			l.Note = fmt.Sprintf("%d GB a month and account are free", outFreeGB)
		}
	}
	if !known {
		lines[0].Note = joinNotes(lines[0].Note, fmt.Sprintf("the prices of %s are not known: these are those of us-east-1", u.Region))
	}
	return lines
}

// hosts are the lines of what only deployments have that hosts push to.
func (u Usage) hosts(p regionPrices) []Line {
	var lines []Line
	for _, kind := range slices.Sorted(maps.Keys(u.OtherVolumes)) {
		lines = append(lines, Line{What: "volumes, " + kind, Count: float64(u.OtherVolumes[kind]), Unit: "GB-months", Price: p.volume(kind), Unknown: p.volume(kind) == 0})
	}
	if u.ElasticIPs > 0 {
		lines = append(lines, Line{What: "Elastic IP", Count: monthHours * float64(u.ElasticIPs), Unit: "hours", Price: ipv4Hour, Note: "also while no instance runs"})
	}
	if u.Records > 0 {
		lines = append(lines, Line{What: "DNS record", Count: float64(u.Records), Unit: "records", Note: "in a hosted zone that you have already; queries come to nothing that shows"})
	}
	return lines
}

func (u Usage) run() time.Duration {
	if u.Run == 0 {
		return u.Deadline
	}
	return u.Run
}

func (u Usage) instance(p regionPrices, hours float64) Line {
	l := Line{What: u.Type + " spot", Count: hours, Unit: "hours", Price: u.HourPrice}
	if u.OnDemand {
		l.What = u.Type + " on demand"
	}
	if l.Price == 0 {
		l.Price = p.hour(u.Type)
		l.Unknown = l.Price == 0
		if !l.Unknown && !u.OnDemand {
			l.Note = "at the on-demand price, which spot stays below"
		}
	}
	if hour := p.hour(u.Type); u.Fallback && u.HourPrice > 0 && hour > 0 {
		l.Note = fmt.Sprintf("on demand, when it must be, %g an hour", hour)
	}
	if u.Run == 0 {
		l.Note = joinNotes("if every run took until its deadline", l.Note)
	}
	return l
}

func joinNotes(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Total is the sum in US dollars a month, and whether it is all.
func Total(lines []Line) (usd float64, all bool) {
	all = true
	for _, l := range lines {
		usd += l.USD
		all = all && !l.Unknown
	}
	return usd, all
}

// StartsPerMonth is how often a schedule starts in a month, on average over a
// year from now.
func StartsPerMonth(start, zone string, now time.Time) (float64, error) {
	c, err := parseCron(start)
	if err != nil {
		return 0, err
	}
	loc, err := location(zone)
	if err != nil {
		return 0, err
	}
	n := 0
	for range c.between(now, now.AddDate(1, 0, 0), loc) {
		n++
	}
	if n == 0 {
		return 0, errors.New(c.String() + " does not come in the year from now on: write a day that does")
	}
	return float64(n) / 12, nil
}
