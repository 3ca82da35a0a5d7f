package deploy

import (
	"fmt"
	"slices"
	"strings"

	"mayfly/internal/cloud"
	"mayfly/stack"
)

// An Ill is something about a deployment's group that keeps runs from
// happening or from ending, and what cures it.
type Ill struct{ What, Cure string }

// Ills are what is wrong with a group whose instances are to start and end. AWS
// itself suspends Launch when launches have failed for a day.
// https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-suspend-resume-processes.html
func Ills(g cloud.Group, region string) []Ill {
	var list []Ill
	command := func(verb, more string) string {
		return fmt.Sprintf("aws autoscaling %s --region %s --auto-scaling-group-name %s %s", verb, region, g.Name, more)
	}
	for _, p := range []struct{ process, means string }{
		{"Launch", "no instance starts"},
		{"Terminate", "no end action ends an instance"},
		{"ScheduledActions", "neither starts nor ends happen"},
	} {
		if slices.Contains(g.Suspended, p.process) {
			list = append(list, Ill{
				fmt.Sprintf("the group's process %s is suspended: %s", p.process, p.means), command("resume-processes", "--scaling-processes "+p.process),
			})
		}
	}
	if g.Max < 1 {
		list = append(list, Ill{"the group's maximum size is 0: no instance starts", command("update-auto-scaling-group", "--max-size 1")})
	}
	if g.Min > 0 {
		list = append(list, Ill{fmt.Sprintf("the group's minimum size is %d: no instance can leave it", g.Min), command("update-auto-scaling-group", "--min-size 0")})
	}
	if g.Deleting {
		list = append(list, Ill{"the group is being deleted", "mayfly destroy, then mayfly deploy; the data stays"})
	}
	return list
}

// Unscheduled says which of a schedule's start and end no scheduled action of
// the group does, each as "start at 0 17 * * FRI Europe/Berlin".
func Unscheduled(want stack.Schedule, have []cloud.ScheduledAction) []string {
	if want.Start == "" {
		return nil
	}
	var missing []string
	for _, w := range []struct {
		what, cron string
		desired    int
	}{{"start", want.Start, 1}, {"end", want.End, 0}} {
		there := slices.ContainsFunc(have, func(a cloud.ScheduledAction) bool {
			return a.Recurrence == w.cron && a.Desired == w.desired && sameZone(a.Zone, want.Zone)
		})
		if !there {
			missing = append(missing, strings.TrimSpace(w.what+" at "+w.cron+" "+want.Zone))
		}
	}
	return missing
}

func sameZone(a, b string) bool { return utc(a) && utc(b) || a == b }

func utc(zone string) bool { return zone == "" || zone == "UTC" || zone == "Etc/UTC" }
