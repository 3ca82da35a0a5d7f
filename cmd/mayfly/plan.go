package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"mayfly/internal/cloud"
	"mayfly/stack"
	"mayfly/stack/deploy"
)

func newPlanCmd(a *app) *cobra.Command {
	var o deployOptions
	var template bool
	c := &cobra.Command{
		Use:   "plan",
		Short: "Show what deploy would make, when it starts, and what a month costs",
		Long: `Plan looks at config and account and changes nothing; what is at work on the
stack it waits for. It shows what deploy would create or change, what an instance
may do, the next five starts, and about what a month costs: with the spot price
of this moment where it can be asked for.

With --template it prints the CloudFormation template alone.

Exit codes: 0 shown, 1 AWS cannot be asked, 2 bad usage or config, AWS does not
accept the credentials, or something stands in the way of deploy.`,
		Example: `  mayfly plan
  mayfly plan --template > template.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return interrupted(cmd.Context(), a.plan(cmd.Context(), o, template))
		},
	}
	o.flags(c)
	c.Flags().BoolVar(&template, "template", false, "print the CloudFormation template alone")
	return c
}

func (a *app) plan(ctx context.Context, o deployOptions, template bool) error {
	s, err := a.survey(ctx, o)
	if err != nil {
		return err
	}
	if template {
		_, err := a.stdout.Write(append(s.template, '\n'))
		return err
	}
	changes, err := s.changes(ctx)
	if err != nil {
		return err
	}
	a.printWhat(s, changes)
	if s.group.Name != "" {
		a.printIlls(deploy.Ills(s.group, s.region))
	}
	if err := a.printPolicy(s); err != nil {
		return err
	}
	a.printStarts(s)
	if err := a.printCost(ctx, s); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "\nNext: mayfly deploy%s\n", a.configFlag())
	return nil
}

// printWhat says where the deployment is and what would be made or changed.
func (a *app) printWhat(s *survey, changes []cloud.Change) {
	fmt.Fprintf(a.stdout, "%s in %s, account %s (you are %s)\n\n", s.config.Name, s.region, s.caller.Account, s.caller.ARN)
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	switch {
	case s.now == nil:
		fmt.Fprintf(w, "Creates the stack %s with\n", s.config.Name)
		var rest []string
		for _, r := range resourcesOf(s.template) {
			if words := s.words(r); words != "" {
				fmt.Fprintf(w, "  + %s\t%s\n", r.Name, words)
				continue
			}
			rest = append(rest, r.Name)
		}
		fmt.Fprintf(w, "  and what these need: %s\n", strings.Join(rest, ", "))
	case deploy.Unfinished(s.now.Status) || deploy.InProgress(s.now.Status):
		fmt.Fprintf(w, "Goes on with the stack %s, which an earlier deploy left as %s.\n", s.config.Name, s.now.Status)
	case len(changes) == 0:
		fmt.Fprintf(w, "Changes nothing of the stack %s.\n", s.config.Name)
	default:
		fmt.Fprintf(w, "Changes of the stack %s\n", s.config.Name)
		for _, c := range changes {
			sign := map[string]string{"Add": "+", "Remove": "-"}[c.Action]
			what := strings.Join(c.Properties, ", ")
			if c.Replaced == "True" {
				what += " (made anew)"
			}
			fmt.Fprintf(w, "  %s %s (%s)\t%s\n", cmp.Or(sign, "~"), c.Resource, strings.TrimPrefix(c.Type, "AWS::"), what)
		}
	}
	if bucket, _ := s.config.Store.Bucket(); s.now == nil && !s.newBucket && s.config.Store.Endpoint == "" {
		fmt.Fprintf(w, "The bucket %s is there already and stays as it is.\n", bucket)
	}
	w.Flush()
	if s.unarmed() && !deploy.Unfinished(s.now.Status) {
		fmt.Fprintf(a.stdout, "The schedule is not in force: an earlier deploy was cut off, and this goes on with it.\n")
	}
	for _, n := range s.secrets {
		if n.ref.Scheme == "ssm" && !n.there && n.from.IsZero() && !s.made(n.ref) {
			fmt.Fprintf(a.stdout, "The secret %s is not there yet: deploy asks for it, or takes it with --secret.\n", n.ref)
		}
	}
	for _, n := range s.notes {
		fmt.Fprintf(a.stdout, "Note: %s.\n", n)
	}
	fmt.Fprintln(a.stdout)
	a.printHosts(s)
}

// resourcesOf lists what a template makes, in the order of its names.
func resourcesOf(template []byte) []cloud.Resource {
	var t struct {
		Resources map[string]struct{ Type string }
	}
	_ = json.Unmarshal(template, &t) // it is our own
	var list []cloud.Resource
	for _, name := range slices.Sorted(maps.Keys(t.Resources)) {
		list = append(list, cloud.Resource{Name: name, Type: t.Resources[name].Type})
	}
	return list
}

// words says what a resource is to a person; "" for what only serves another.
func (s *survey) words(r cloud.Resource) string {
	n := s.options
	zone := cmp.Or(n.Schedule.Zone, "UTC")
	switch r.Name {
	case "Bucket":
		return n.Bucket.Name + ": private, versioned, encrypted; it stays when all else goes"
	case "Topic":
		return "mails to " + strings.Join(n.Topic.Emails, ", ")
	case "Group":
		var types []string
		for _, t := range n.Instance.Types {
			types = append(types, t.Name)
		}
		market := "spot"
		switch n.Instance.OnDemand {
		case stack.OnDemandAlways:
			market = "on-demand"
		case stack.OnDemandFallback:
			market = "spot or else on-demand"
		}
		in := "in " + zones(n.Network.Subnets)
		if s.zone != "" {
			in = "only in " + s.zone + ", where the volumes are"
		}
		return fmt.Sprintf("one %s instance at a time, %s, %s", market, strings.Join(types, " or "), in)
	case "Budget":
		return fmt.Sprintf("warns when the account's month is about to cost more than %.2f USD", n.Budget.USD)
	case "SecurityGroup":
		if len(n.Network.Ingress) == 0 {
			return "nothing comes in"
		}
		var ports []string
		for _, in := range n.Network.Ingress {
			ports = append(ports, fmt.Sprintf("port %d from %s", in.Port, strings.Join(in.From, ", ")))
		}
		return "only " + strings.Join(ports, "; ") + " comes in"
	case "Role":
		return "what an instance may do; mayfly plan says it in words"
	case "MissedRuns":
		return "looks after each deadline whether there was a run, and mails if not"
	case "Fallback":
		return "buys a run on demand when no spot instance could be launched, and goes back to spot after it"
	case "RecycleBin":
		return fmt.Sprintf("keeps deleted snapshots for %d days", n.RecycleBin)
	case "StartAction":
		return n.Schedule.Start + " " + zone
	case "EndAction":
		return n.Schedule.End + " " + zone + ": the last net, after the deadline"
	}
	if r.Type == "AWS::EC2::LaunchTemplate" || r.Type == "AWS::AutoScaling::LaunchConfiguration" {
		return "what it boots"
	}
	return ""
}

func zones(subnets []stack.Subnet) string {
	var list []string
	for _, s := range subnets {
		list = append(list, s.Zone)
	}
	slices.Sort(list)
	return strings.Join(slices.Compact(list), ", ")
}

// printPolicy says in words what the role may do.
func (a *app) printPolicy(s *survey) error {
	lines, err := stack.InWords(s.options.Role.Policy)
	if err != nil {
		return err
	}
	fmt.Fprintln(a.stdout, "An instance may")
	for _, l := range lines {
		fmt.Fprintf(a.stdout, "  %s\n", l)
	}
	return nil
}

// startsShown is how many starts plan shows.
const startsShown = 5

func (a *app) printStarts(s *survey) {
	c := s.config
	starts := c.Schedule.Start.Next(a.now(), c.Schedule.Timezone.Location(), startsShown)
	if len(starts) == 0 {
		fmt.Fprintf(a.stdout, "\nNo schedule: it starts when you say mayfly start%s.\n", a.configFlag())
		return
	}
	fmt.Fprintln(a.stdout, "\nStarts")
	for _, t := range starts {
		fmt.Fprintf(a.stdout, "  %s\n", bothTimes(t))
	}
	fmt.Fprintf(a.stdout, "and ends %s later at the latest.\n", c.Schedule.Deadline)
}
