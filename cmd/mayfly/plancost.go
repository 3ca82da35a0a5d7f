package main

import (
	"context"
	"fmt"
	"time"

	"mayfly/internal/cloud"
	"mayfly/runner"
	"mayfly/stack"
)

// pastRuns is how many runs say how long one takes.
const pastRuns = 5

// printCost shows about what a month costs.
func (a *app) printCost(ctx context.Context, s *survey) error {
	u := s.usage(a.now())
	var prices []cloud.SpotPrice
	if !u.OnDemand {
		prices, _ = s.aws.ec2.SpotPrices(ctx, typeNames(s.options.Instance.Types)) // else the table's
		u.Type, u.HourPrice = cheapest(prices, s.options.Network.Subnets, u.Type)
	}
	if s.now != nil {
		u.Run = a.usual(ctx, s)
	}
	if c := s.config.Schedule; !c.Start.IsZero() {
		n, err := stack.StartsPerMonth(c.Start.String(), c.Timezone.String(), a.now())
		if err != nil {
			return usageError(err)
		}
		u.Starts = n
	}
	switch {
	case u.Starts == 0:
		u.Starts = 1
		fmt.Fprintf(a.stdout, "\nCosts about, for one run a month\n")
	case u.Run > 0:
		fmt.Fprintf(a.stdout, "\nCosts about, a month, if runs take as long as the last ones did\n")
	default:
		fmt.Fprintf(a.stdout, "\nCosts about, a month\n")
	}
	fmt.Fprint(a.stdout, stack.CostTable(stack.Cost(u)))
	if u.HourPrice > 0 {
		fmt.Fprintf(a.stdout, "The spot price is that of %s.\n", a.now().UTC().Format("2 Jan 2006 15:04 MST"))
	}
	return nil
}

// usage is what the config and the account say of it.
func (s *survey) usage(now time.Time) stack.Usage {
	u := stack.Usage{
		Region: s.region, Type: s.options.Instance.Types[0].Name, OnDemand: s.options.Instance.OnDemand == stack.OnDemandAlways, Fallback: s.options.Instance.OnDemand == stack.OnDemandFallback,
		Deadline: time.Duration(s.config.Schedule.Deadline), PublicAddress: s.publicAddress, RootGiB: s.options.Instance.RootGiB,
		MissedRuns: !s.options.SkipMissedRuns && s.options.Schedule.Start != "", Budget: s.options.Budget.USD > 0,
	}
	for _, v := range s.volumes {
		gib, kind := v.need.GiB, v.need.Type
		if v.now != nil {
			gib, kind = max(v.now.GiB, gib), v.now.Type
		}
		if kind == "gp3" {
			u.VolumesGiB += gib
			continue
		}
		if u.OtherVolumes == nil {
			u.OtherVolumes = map[string]int{}
		}
		u.OtherVolumes[kind] += gib
	}
	for _, j := range s.config.Jobs {
		needs := j.Config.Needs()
		u.ElasticIPs += len(needs.ElasticIPs)
		u.Records += len(needs.Records)
	}
	for _, n := range s.secrets {
		if n.ref.Scheme == "secretsmanager" {
			u.Secrets++
		}
	}
	return u
}

// usual is how long the last runs took, 0 where none is known.
func (a *app) usual(ctx context.Context, s *survey) time.Duration {
	st, err := s.world.store(ctx)
	if err != nil {
		return 0
	}
	ids, err := runner.RunIDs(ctx, st, a.now(), pastRuns)
	if err != nil {
		return 0
	}
	var sum time.Duration
	n := 0
	for _, id := range ids {
		if p, err := runner.ReadPast(ctx, st, id); err == nil && p.Report != nil {
			sum += p.Report.Ended.Sub(p.Report.Started)
			n++
		}
	}
	if n == 0 {
		return 0
	}
	// Booting and ending are paid for, too.
	const around = 2 * time.Minute
	return sum/time.Duration(n) + around
}

// cheapest is the type that is likely to be launched, and its price: the
// cheapest of those in the zones of the subnets.
func cheapest(prices []cloud.SpotPrice, subnets []stack.Subnet, otherwise string) (name string, usd float64) {
	in := map[string]bool{}
	for _, s := range subnets {
		in[s.Zone] = true
	}
	for _, p := range prices {
		if in[p.Zone] && p.USD > 0 && (usd == 0 || p.USD < usd) {
			name, usd = p.Type, p.USD
		}
	}
	if usd == 0 {
		return otherwise, 0
	}
	return name, usd
}

func typeNames(types []stack.Type) []string {
	var list []string
	for _, t := range types {
		list = append(list, t.Name)
	}
	return list
}
