package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"mayfly/runner"
	"mayfly/stack/deploy"
)

// print shows it to a person.
func (s *awsStatus) print(w io.Writer, now time.Time, config string) {
	line := func(label, format string, a ...any) { fmt.Fprintf(w, "%-20s %s\n", label, fmt.Sprintf(format, a...)) }
	switch {
	case s.missing:
		line("In AWS:", "not deployed in %s (mayfly deploy%s)", s.Region, config)
		s.printHosts(line, now, config)
		s.printRest(line)
		return
	case s.Stack == "":
		line("In AWS:", "a group made by hand, %s in %s", s.group, s.Region)
	case deploy.Unfinished(s.Stack) || deploy.InProgress(s.Stack):
		line("In AWS:", "NOT FINISHED, %s: mayfly deploy%s goes on", s.Stack, config)
	default:
		line("In AWS:", "deployed in %s", s.Region)
	}
	switch {
	case s.Stack == "" || s.Armed:
	case s.scheduled:
		line("Schedule:", "NOT IN FORCE: mayfly deploy%s puts it in force", config)
	default:
		line("Schedule:", "none; mayfly start%s starts a run", config)
	}
	for _, i := range s.Instances {
		line("Instance:", "%s (%s), %s", i.ID, typeAndZone(i.Type, i.Zone), i.State)
	}
	if len(s.Instances) == 0 {
		line("Instance:", "none is running%s", map[bool]string{true: ", and one is asked for"}[s.Desired > 0])
	}
	for _, act := range s.Schedule {
		if act.Recurrence == "" && act.Desired == 0 && (s.Desired > 0 || len(s.Instances) > 0) {
			line("Ends:", "whatever is running at %s, since it was started by hand", act.At.UTC().Format("Mon 2 Jan 15:04 UTC"))
		}
	}
	s.printHosts(line, now, config)
	if s.LastError != "" {
		line("Launch failed:", "%s", runner.OneLine(s.LastError, 300))
	}
	if len(s.Resumed) > 0 {
		line("DANGER:", "%s not suspended: an instance that ends itself is replaced: mayfly deploy%s suspends", strings.Join(s.Resumed, " and "), config)
	}
	for _, p := range s.Pending {
		line("No mail to:", "%s: not confirmed (mayfly deploy%s asks again)", p, config)
	}
	s.printRest(line)
}

func (s *awsStatus) printHosts(line func(label, format string, a ...any), now time.Time, config string) {
	for _, h := range s.Hosts {
		line("Host "+h.Host+":", "%s", h.words(now, config))
	}
}

// printRest is what there may be without a deployment, too.
func (s *awsStatus) printRest(line func(label, format string, a ...any)) {
	for _, p := range s.Problems {
		line("PROBLEM:", "%s\n%-20s   %s", p.What, "", p.Cure)
	}
	if len(s.Leftover) == 0 && !s.missing {
		line("Left over:", "nothing")
	}
	for _, l := range s.Leftover {
		line("Left over:", "%s\n%-20s   %s", l.What, "", l.Command)
	}
	for _, u := range s.Unseen {
		line("Not seen:", "%s", runner.OneLine(u, 400))
	}
}
