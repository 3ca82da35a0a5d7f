package deploy_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"mayfly/internal/cloud"
	"mayfly/stack"
	"mayfly/stack/deploy"
)

// done checks that the deployment is as it should be.
func done(t *testing.T, a *account, template string) {
	t.Helper()
	if !a.armed() || a.body != template || !a.uploaded[template] {
		t.Errorf("the stack is %+v with %q, uploaded %v", a.stack, a.body, a.uploaded)
	}
	if a.group == nil || len(deploy.Unsuspended(*a.group)) > 0 {
		t.Errorf("the group is %+v", a.group)
	}
	for _, want := range weekly(template).Actions() {
		i := a.action("d-" + want.Resource)
		if i < 0 {
			t.Errorf("the schedule is %+v, and lacks %+v", a.schedule, want)
			continue
		}
		got := a.schedule[i]
		got.At = time.Time{}
		if got != (cloud.ScheduledAction{Name: "d-" + want.Resource, Recurrence: want.Recurrence, Zone: want.Zone, Desired: want.Desired, Min: -1, Max: -1}) {
			t.Errorf("the schedule has %+v, want %+v", got, want)
		}
	}
}

// Created, called again, and changed.
func TestDeploy(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	r, err := a.engine().Deploy(t.Context(), a.target("one"))
	if err != nil || !r.Created || !r.Changed {
		t.Fatalf("%+v, %v", r, err)
	}
	done(t, a, "one")
	if said := strings.Join(a.said, "\n"); !strings.Contains(said, "Creating the stack d") || !strings.Contains(said, "created  Bucket (X::Bucket)") {
		t.Errorf("said:\n%s", said)
	}
	if r, err = a.engine().Deploy(t.Context(), a.target("one")); err != nil || r.Created || r.Changed {
		t.Errorf("again: %+v, %v", r, err)
	}
	a.group.Suspended = []string{"AZRebalance"} // somebody has resumed one
	if r, err = a.engine().Deploy(t.Context(), a.target("two")); err != nil || r.Created || !r.Changed {
		t.Errorf("changed: %+v, %v", r, err)
	}
	done(t, a, "two")
}

// Cut off at any call, and called again, it comes to the same: from nothing,
// and from a deployment that is to change. That the schedule is never in force
// too early, and that a run at work keeps an end, the account itself checks.
func TestDeployCutAnywhere(t *testing.T) {
	t.Parallel()
	for _, before := range []string{"", "one", "at work", "gone"} {
		for cut := 1; ; cut++ {
			a := newAccount(t)
			if before != "" {
				if _, err := a.engine().Deploy(t.Context(), a.target("one")); err != nil {
					t.Fatal(err)
				}
			}
			switch before {
			case "at work":
				a.group.Desired, a.group.Instances = 1, []cloud.GroupInstance{{ID: "i-1", State: "InService"}}
			case "gone": // the actions, by somebody's hand, and a run waits for its instance
				a.group.Desired, a.schedule = 1, nil
			}
			a.cut, a.calls = cut, 0
			_, err := a.engine().Deploy(t.Context(), a.target("two"))
			if err == nil {
				if cut < 10 {
					t.Errorf("from %q it took only %d calls", before, cut)
				}
				break
			}
			if !errors.Is(err, errCut) {
				t.Fatalf("from %q, cut at %d: %v", before, cut, err)
			}
			a.cut = 0
			if _, err := a.engine().Deploy(t.Context(), a.target("two")); err != nil {
				t.Fatalf("from %q, after a cut at %d: %v", before, cut, err)
			}
			done(t, a, "two")
		}
	}
}

// What cannot be created leaves nothing, and the error names the cause; the
// next call starts anew.
func TestDeployFails(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.failing = "ROLLBACK_COMPLETE"
	_, err := a.engine().Deploy(t.Context(), a.target("one"))
	if err == nil || !strings.Contains(err.Error(), "create the stack d: it ended as ROLLBACK_COMPLETE: Topic (AWS::X::Topic): the topic was refused") ||
		strings.Contains(err.Error(), "cancelled") {
		t.Errorf("error %v", err)
	}
	if a.stack != nil {
		t.Errorf("the stack is %+v", a.stack)
	}
	if _, err := a.engine().Deploy(t.Context(), a.target("one")); err != nil {
		t.Fatal(err)
	}
	done(t, a, "one")
	// An update that fails is taken back, and the deployment goes on as it was.
	a.failing = "UPDATE_ROLLBACK_COMPLETE"
	if _, err := a.engine().Deploy(t.Context(), a.target("two")); err == nil || !strings.Contains(err.Error(), "update the stack d: it ended as UPDATE_ROLLBACK_COMPLETE: Topic") {
		t.Errorf("error %v", err)
	}
}

// Every state that a stack can be found in.
func TestDeployFromEveryState(t *testing.T) {
	t.Parallel()
	for _, status := range []string{
		"REVIEW_IN_PROGRESS", "CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE",
	} {
		a := newAccount(t)
		if _, err := a.engine().Deploy(t.Context(), a.target("one")); err != nil {
			t.Fatal(err)
		}
		a.stack.Status = status
		if _, err := a.engine().Deploy(t.Context(), a.target("two")); err != nil {
			t.Errorf("%s: %v", status, err)
		}
		done(t, a, "two")
	}
	a := newAccount(t)
	a.stack = &cloud.Stack{ID: "id", Name: "d", Status: "UPDATE_ROLLBACK_FAILED", Reason: "no luck", Tags: map[string]string{stack.TagKey: "d"}}
	_, err := a.engine().Deploy(t.Context(), a.target("one"))
	if err == nil || !strings.Contains(err.Error(), "no luck") || !strings.Contains(err.Error(), "aws cloudformation continue-update-rollback --region eu-west-1 --stack-name d") {
		t.Errorf("error %v", err)
	}
	for _, tags := range []map[string]string{nil, {stack.TagKey: "other"}} {
		a.stack = &cloud.Stack{ID: "id", Name: "d", Status: "CREATE_COMPLETE", Tags: tags}
		if _, err := a.engine().Deploy(t.Context(), a.target("one")); !errors.Is(err, deploy.ErrForeign) {
			t.Errorf("tags %v: %v", tags, err)
		}
		if _, err := a.engine().Destroy(t.Context(), "d"); !errors.Is(err, deploy.ErrForeign) {
			t.Errorf("tags %v: %v", tags, err)
		}
	}
}

// Cancelled, it says that CloudFormation goes on.
func TestDeployCancelled(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	e := a.engine()
	e.Poll = time.Hour
	say := e.Say
	e.Say = func(format string, args ...any) {
		say(format, args...)
		cancel(errCut)
	}
	_, err := e.Deploy(ctx, a.target("one"))
	if !errors.Is(err, errCut) || !strings.Contains(err.Error(), "the same command goes on") {
		t.Errorf("error %v", err)
	}
}

// A run is started only when something ends it, and replaced by nothing.
func TestStart(t *testing.T) {
	t.Parallel()
	end := time.Date(2026, 11, 27, 19, 15, 0, 0, time.UTC)
	for cut := 1; ; cut++ {
		a := newAccount(t)
		a.group, a.cut = &cloud.Group{Name: "d", Max: 1}, cut
		err := a.engine().Start(t.Context(), "d", end)
		if err != nil {
			continue // that an instance is asked for last, the account checks
		}
		if !slices.Equal(a.actions, []string{"mayfly-start-end 2026-11-27T19:15:00Z 0"}) || a.group.Desired != 1 || len(deploy.Unsuspended(*a.group)) > 0 {
			t.Errorf("actions %v, group %+v", a.actions, a.group)
		}
		a.cut = 0
		if err := a.engine().Started(t.Context(), "d"); err != nil || len(a.actions) > 0 {
			t.Errorf("afterwards: %v, %v", a.actions, err)
		}
		break
	}
}

// Nothing is started that the end action would not end, or that would not come.
func TestStartInAnIllGroup(t *testing.T) {
	t.Parallel()
	for want, g := range map[string]cloud.Group{
		"Launch is suspended: no instance starts: aws autoscaling resume-processes --region eu-west-1 --auto-scaling-group-name d --scaling-processes Launch": {Max: 1, Suspended: []string{"Launch"}},
		"Terminate is suspended":        {Max: 1, Suspended: []string{"AZRebalance", "Terminate"}},
		"ScheduledActions is suspended": {Max: 1, Suspended: []string{"ScheduledActions"}},
		"maximum size is 0: no instance starts: aws autoscaling update-auto-scaling-group": {},
		"minimum size is 1":   {Max: 1, Min: 1},
		"it is being deleted": {Max: 1, Deleting: true},
	} {
		a := newAccount(t)
		g.Name = "d"
		a.group = &g
		err := a.engine().Start(t.Context(), "d", time.Now())
		if ill := (*deploy.IllError)(nil); !errors.As(err, &ill) || len(ill.Ills) != 1 || !strings.Contains(strings.Replace(err.Error(), "the group is", "it is", 1), want) {
			t.Errorf("%s: %v", want, err)
		}
		if a.group.Desired != 0 || len(a.actions) > 0 {
			t.Errorf("%s: actions %v, group %+v", want, a.actions, a.group)
		}
	}
}

func TestUnscheduled(t *testing.T) {
	t.Parallel()
	want := stack.Schedule{Start: "0 17 * * FRI", End: "15 19 * * FRI", Zone: "Europe/Berlin"}
	start := cloud.ScheduledAction{Recurrence: want.Start, Zone: want.Zone, Desired: 1}
	end := cloud.ScheduledAction{Recurrence: want.End, Zone: want.Zone, Desired: 0}
	other := start
	other.Zone = ""
	for _, tt := range []struct {
		have []cloud.ScheduledAction
		want string
	}{
		{[]cloud.ScheduledAction{end, start}, ""},
		{[]cloud.ScheduledAction{start}, "end at 15 19 * * FRI Europe/Berlin"},
		{[]cloud.ScheduledAction{other, end}, "start at 0 17 * * FRI Europe/Berlin"},
		{nil, "start at 0 17 * * FRI Europe/Berlin, end at 15 19 * * FRI Europe/Berlin"},
	} {
		if got := strings.Join(deploy.Unscheduled(want, tt.have), ", "); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.have, got, tt.want)
		}
	}
	want.Zone = "UTC"
	end.Zone = "Etc/UTC"
	if got := deploy.Unscheduled(want, []cloud.ScheduledAction{other, end}); len(got) > 0 || len(deploy.Unscheduled(stack.Schedule{}, nil)) > 0 {
		t.Errorf("UTC: %v", got)
	}
}

// What runs is ended first; cut anywhere, the same call goes on.
func TestDestroy(t *testing.T) {
	t.Parallel()
	for cut := 0; ; cut++ {
		a := newAccount(t)
		if _, err := a.engine().Deploy(t.Context(), a.target("one")); err != nil {
			t.Fatal(err)
		}
		a.group.Desired, a.group.Instances = 1, []cloud.GroupInstance{{ID: "i-1", State: "InService"}}
		a.calls, a.cut = 0, cut
		found, err := a.engine().Destroy(t.Context(), "d")
		whole := err == nil
		if !whole {
			a.cut = 0
			if _, err := a.engine().Destroy(t.Context(), "d"); err != nil {
				t.Fatalf("after a cut at %d: %v", cut, err)
			}
		} else if !found {
			t.Error("it was not found")
		}
		if a.stack != nil || a.group != nil {
			t.Errorf("after a cut at %d: stack %+v, group %+v", cut, a.stack, a.group)
		}
		a.cut = 0
		if found, err := a.engine().Destroy(t.Context(), "d"); found || err != nil {
			t.Errorf("again: %v, %v", found, err)
		}
		if whole && cut > 0 {
			break
		}
	}
}

// A run at work keeps an end, whatever becomes of the schedule.
func TestDeployDuringARun(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what   string
		next   func(a *account) deploy.Target
		before func(a *account)
		want   []string
	}{
		{"nothing changes", func(a *account) deploy.Target { return a.target("one") }, func(*account) {}, nil},
		{"between a start and its end", func(a *account) deploy.Target { return a.target("two") }, func(a *account) {
			a.schedule[0].At, a.schedule[1].At = a.now.Add(time.Hour), a.now.Add(23*time.Hour)
		}, []string{"mayfly-start-end 2026-11-27T18:31:01Z 0"}},
		{"before the next start", func(a *account) deploy.Target { return a.target("two") }, func(a *account) {
			a.schedule[0].At, a.schedule[1].At = a.now.Add(23*time.Hour), a.now.Add(time.Hour)
		}, []string{"mayfly-start-end 2026-11-27T19:45:00Z 0"}},
		{"the time is not known", func(a *account) deploy.Target { return a.target("two") }, func(a *account) {
			a.schedule[0].At, a.schedule[1].At = time.Time{}, time.Time{}
		}, []string{"mayfly-start-end 2026-11-27T19:45:00Z 0"}},
		{"it has one", func(a *account) deploy.Target { return a.target("two") }, func(a *account) {
			a.schedule = append(a.schedule, cloud.ScheduledAction{Name: deploy.EndAction, At: a.now.Add(time.Minute)})
			a.actions = []string{"that one"}
		}, []string{"that one"}},
		{"its end is gone", func(a *account) deploy.Target { return a.target("one") }, func(a *account) { a.schedule = nil }, []string{"mayfly-start-end 2026-11-27T19:45:00Z 0"}},
		{"no schedule any more", func(a *account) deploy.Target {
			next := a.target("two")
			next.Scheduled, next.Actions = false, nil
			return next
		}, func(*account) {}, []string{"mayfly-start-end 2026-11-27T19:31:01Z 0"}},
		{"a new bucket", func(a *account) deploy.Target {
			next := a.target("two")
			next.NewBucket = true
			return next
		}, func(*account) {}, []string{"mayfly-start-end 2026-11-27T19:31:01Z 0"}},
	} {
		a := newAccount(t)
		if _, err := a.engine().Deploy(t.Context(), a.target("one")); err != nil {
			t.Fatal(err)
		}
		a.said, a.group.Desired = nil, 1
		c.before(a)
		if _, err := a.engine().Deploy(t.Context(), c.next(a)); err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
		if c.what == "a new bucket" && len(a.actions) == 2 { // both updates
			a.actions = a.actions[:1]
		}
		if !slices.Equal(a.actions, c.want) {
			t.Errorf("%s: %q, want %q", c.what, a.actions, c.want)
		}
		if said := strings.Join(a.said, "\n"); strings.Contains(said, "A run is at work") != (c.want != nil) {
			t.Errorf("%s: said:\n%s", c.what, said)
		}
	}
}

// What somebody has done to the schedule by hand is undone, whether or not the
// stack changes.
func TestDeployPutsActionsBack(t *testing.T) {
	t.Parallel()
	for _, next := range []string{"one", "two"} {
		for what, byHand := range map[string]func(a *account){
			"deleted":        func(a *account) { a.schedule = nil },
			"one deleted":    func(a *account) { a.schedule = a.schedule[1:] },
			"another time":   func(a *account) { a.schedule[0].Recurrence = "0 1 * * *" },
			"another zone":   func(a *account) { a.schedule[0].Zone = "" },
			"another number": func(a *account) { a.schedule[0].Desired = 1 },
			"a minimum":      func(a *account) { a.schedule[1].Min = 1 },
			"an end":         func(a *account) { a.schedule[1].Until = a.now.Add(time.Hour) },
		} {
			a := newAccount(t)
			if _, err := a.engine().Deploy(t.Context(), a.target("one")); err != nil {
				t.Fatal(err)
			}
			byHand(a)
			r, err := a.engine().Deploy(t.Context(), a.target(next))
			if err != nil || !r.Changed || len(r.Ills) > 0 {
				t.Errorf("%s: %+v, %v", what, r, err)
			}
			if said := strings.Join(a.said, "\n"); next == "one" && !strings.Contains(said, "Action back, which ") {
				t.Errorf("%s: said:\n%s", what, said)
			}
			done(t, a, next)
			if r, err = a.engine().Deploy(t.Context(), a.target(next)); err != nil || r.Changed {
				t.Errorf("%s, again: %+v, %v", what, r, err)
			}
		}
	}
}

// What keeps runs from happening is told, and left: it may be a pause.
func TestDeployTellsIlls(t *testing.T) {
	t.Parallel()
	for want, byHand := range map[string]func(g *cloud.Group){
		"resume-processes --region eu-west-1 --auto-scaling-group-name d --scaling-processes Launch":           func(g *cloud.Group) { g.Suspended = append(g.Suspended, "Launch") },
		"resume-processes --region eu-west-1 --auto-scaling-group-name d --scaling-processes Terminate":        func(g *cloud.Group) { g.Suspended = append(g.Suspended, "Terminate") },
		"resume-processes --region eu-west-1 --auto-scaling-group-name d --scaling-processes ScheduledActions": func(g *cloud.Group) { g.Suspended = append(g.Suspended, "ScheduledActions") },
		"update-auto-scaling-group --region eu-west-1 --auto-scaling-group-name d --max-size 1":                func(g *cloud.Group) { g.Max = 0 },
		"update-auto-scaling-group --region eu-west-1 --auto-scaling-group-name d --min-size 0":                func(g *cloud.Group) { g.Min = 1 },
	} {
		a := newAccount(t)
		if _, err := a.engine().Deploy(t.Context(), a.target("one")); err != nil {
			t.Fatal(err)
		}
		byHand(a.group)
		as := *a.group
		for _, next := range []string{"one", "two"} {
			r, err := a.engine().Deploy(t.Context(), a.target(next))
			if err != nil || r.Changed != (next == "two") || len(r.Ills) != 1 || !strings.Contains(r.Ills[0].Cure, want) {
				t.Errorf("want %s: %+v, %v", want, r, err)
			}
		}
		if a.group.Min != as.Min || a.group.Max != as.Max || !slices.Equal(a.group.Suspended, as.Suspended) {
			t.Errorf("%s: the group was %+v, and is %+v", want, as, *a.group)
		}
	}
	a := newAccount(t)
	if _, err := a.engine().Deploy(t.Context(), a.target("one")); err != nil {
		t.Fatal(err)
	}
	a.group = nil
	if _, err := a.engine().Deploy(t.Context(), a.target("one")); err == nil || !strings.Contains(err.Error(), "mayfly destroy, which keeps the data, and then mayfly deploy") {
		t.Errorf("without its group: %v", err)
	}
}

// A group that the stack did not make stays as it is.
func TestDestroyLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	if _, err := a.engine().Deploy(t.Context(), a.target("one")); err != nil {
		t.Fatal(err)
	}
	a.handmade = true
	a.group.Desired = 1
	if _, err := a.engine().Destroy(t.Context(), "d"); err != nil {
		t.Fatal(err)
	}
	for _, s := range a.said {
		if strings.Contains(s, "instance") {
			t.Errorf("it said %q", s)
		}
	}
	if a.emptied {
		t.Error("somebody else's group was emptied")
	}
}
