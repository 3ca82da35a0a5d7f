package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mayfly/internal/cloud"
	"mayfly/stack"
	"mayfly/stack/deploy"
)

// errCut is what every call returns once the program has been cut off.
var errCut = errors.New("cut off")

// An account is AWS as far as the engine sees it, in memory: one stack, whose
// operations take some looks to end, and the group that it makes. Its rules are
// what the promises are about; they are checked on every call.
type account struct {
	t *testing.T

	stack  *cloud.Stack
	body   string
	events []cloud.StackEvent
	looks  int // that the operation at work still takes
	then   string
	gone   map[string]cloud.Stack // deleted, by id

	group    *cloud.Group
	handmade bool // the group is none of the stack's
	emptied  bool
	uploaded map[string]bool // templates for which the store is ready
	actions  []string        // once-only scheduled actions
	schedule []cloud.ScheduledAction
	inForce  bool // the stack has scheduled actions
	now      time.Time
	failing  string // the status that the next operation ends with

	calls int
	cut   int // from which call on nothing works; 0: never
	said  []string
}

var (
	_ deploy.Stacks = (*account)(nil)
	_ deploy.Groups = groups{}
)

func newAccount(t *testing.T) *account {
	return &account{t: t, now: time.Date(2026, 11, 27, 17, 30, 0, 0, time.UTC), uploaded: map[string]bool{}, gone: map[string]cloud.Stack{}}
}

func (a *account) engine() *deploy.Engine {
	return &deploy.Engine{
		Stacks: a, Groups: groups{a}, Region: "eu-west-1", Poll: time.Nanosecond, Now: func() time.Time { return a.now },
		Say: func(format string, args ...any) { a.said = append(a.said, fmt.Sprintf(format, args...)) },
	}
}

func (a *account) target(template string) deploy.Target {
	return deploy.Target{
		Name: "d", Group: "d", Template: []byte(template), Scheduled: true, NewBucket: a.stack == nil,
		Actions: weekly(template).Actions(), Deadline: 2 * time.Hour,
		Upload: func(context.Context) error {
			if err := a.call(); err != nil {
				return err
			}
			if a.stack == nil || a.looks > 0 {
				a.t.Error("uploaded while there is no bucket yet")
			}
			a.uploaded[template] = true
			return nil
		},
	}
}

func (a *account) call() error {
	a.calls++
	if a.cut > 0 && a.calls >= a.cut {
		return errCut
	}
	return nil
}

func (a *account) armed() bool {
	return a.stack != nil && strings.HasSuffix(a.stack.Status, "_COMPLETE") && a.stack.Parameters[stack.ParameterArmed] == "true"
}

// look lets time pass.
func (a *account) look() {
	if a.looks == 0 {
		return
	}
	if a.looks--; a.looks > 0 {
		return
	}
	a.event("Bucket", strings.TrimSuffix(a.stack.Status, "_IN_PROGRESS")+"_COMPLETE", "")
	if strings.Contains(a.then, "ROLLBACK") || strings.HasSuffix(a.then, "_FAILED") {
		a.event("Topic", "CREATE_FAILED", "the topic was refused")
		a.event("Role", "CREATE_FAILED", "Resource creation cancelled")
	}
	a.stack.Status = a.then
	if a.then == "DELETE_COMPLETE" {
		a.gone[a.stack.ID] = *a.stack
		a.stack, a.group, a.events, a.schedule = nil, nil, nil, nil
		return
	}
	if a.stack.Status == "CREATE_COMPLETE" {
		a.group = &cloud.Group{Name: "d", Max: 1}
	}
	a.reschedule()
	if a.armed() {
		if !a.uploaded[a.body] {
			a.t.Error("the schedule is in force and the store lacks what an instance fetches")
		}
		if len(deploy.Unsuspended(*a.group)) > 0 {
			a.t.Error("the schedule is in force and the group replaces instances")
		}
	}
}

// reschedule does what CloudFormation does with the scheduled actions of a
// template that has come into force, and looks after a run at work.
func (a *account) reschedule() {
	if strings.Contains(a.stack.Status, "ROLLBACK") {
		return
	}
	before := a.end()
	for _, act := range weekly(a.body).Actions() {
		i := a.action("d-" + act.Resource)
		switch {
		case !a.armed() && a.inForce && i >= 0:
			a.schedule = slices.Delete(a.schedule, i, i+1)
		case a.armed() && a.inForce && i < 0:
			a.t.Errorf("CloudFormation fails to update %s, which is gone", act.Resource)
		case a.armed():
			made := cloud.ScheduledAction{
				Name: "d-" + act.Resource, Recurrence: act.Recurrence, Zone: act.Zone, Desired: act.Desired, Min: -1, Max: -1,
				At: a.now.Add(2*time.Hour + time.Duration(act.Desired)*time.Hour),
			}
			if i < 0 {
				a.schedule = append(a.schedule, made)
			} else {
				a.schedule[i] = made
			}
		}
	}
	a.inForce = a.armed()
	if a.group != nil && a.group.Desired > 0 && a.end() != before && len(a.actions) == 0 {
		a.t.Error("a run is at work, and the action that would have ended it was taken away")
	}
}

// end is the recurrence of what ends runs, "" when there is nothing.
func (a *account) end() string {
	if i := a.action("d-EndAction"); i >= 0 {
		return a.schedule[i].Recurrence
	}
	return ""
}

func (a *account) action(name string) int {
	return slices.IndexFunc(a.schedule, func(s cloud.ScheduledAction) bool { return s.Name == name })
}

func (a *account) event(resource, status, reason string) {
	a.events = append(a.events, cloud.StackEvent{
		ID: fmt.Sprint(len(a.events) + 1), Resource: resource, Type: "AWS::X::" + resource, Status: status, Reason: reason,
		PhysicalID: resource, StackID: a.stack.ID,
	})
}

func (a *account) Describe(_ context.Context, name string) (cloud.Stack, error) {
	if err := a.call(); err != nil {
		return cloud.Stack{}, err
	}
	a.look()
	if a.stack != nil && (name == a.stack.Name || name == a.stack.ID) {
		return *a.stack, nil
	}
	if s, ok := a.gone[name]; ok {
		return s, nil
	}
	return cloud.Stack{}, fmt.Errorf("stack %s: %w", name, cloud.ErrNotFound)
}

func (a *account) Events(_ context.Context, _ string, stop func(cloud.StackEvent) bool) ([]cloud.StackEvent, error) {
	if err := a.call(); err != nil {
		return nil, err
	}
	for i := len(a.events) - 1; i >= 0; i-- {
		if stop(a.events[i]) {
			return a.events[i+1:], nil
		}
	}
	return a.events, nil
}

func (a *account) begin(status, then string) {
	a.stack.Status, a.then, a.looks = status, then, 3
	if a.failing != "" {
		a.then, a.failing = a.failing, ""
	}
}

func (a *account) Create(_ context.Context, in cloud.StackInput) (string, error) {
	if err := a.call(); err != nil {
		return "", err
	}
	if a.stack != nil {
		return "", cloud.ErrExists
	}
	a.stack = &cloud.Stack{ID: fmt.Sprintf("id-%d", len(a.gone)+1), Name: in.Name, Parameters: in.Parameters, Tags: in.Tags}
	a.body = string(in.Template)
	a.begin("CREATE_IN_PROGRESS", "CREATE_COMPLETE")
	return a.stack.ID, nil
}

func (a *account) Update(_ context.Context, in cloud.StackInput) (bool, error) {
	if err := a.call(); err != nil {
		return false, err
	}
	if a.stack == nil || !strings.HasSuffix(a.stack.Status, "_COMPLETE") || a.stack.Status == "ROLLBACK_COMPLETE" {
		a.t.Errorf("updated in the state %v", a.stack)
	}
	if a.body == string(in.Template) && a.stack.Parameters[stack.ParameterArmed] == in.Parameters[stack.ParameterArmed] {
		return false, nil
	}
	a.body, a.stack.Parameters = string(in.Template), in.Parameters
	a.begin("UPDATE_IN_PROGRESS", "UPDATE_COMPLETE")
	return true, nil
}

func (a *account) Delete(_ context.Context, id string) error {
	if err := a.call(); err != nil {
		return err
	}
	if a.group != nil && len(a.group.Instances) > 0 {
		a.t.Error("deleted while the group has an instance: CloudFormation would fail")
	}
	a.begin("DELETE_IN_PROGRESS", "DELETE_COMPLETE")
	return nil
}

// groups are the account's: their Describe is another than that of stacks.
type groups struct{ a *account }

func (g groups) Describe(context.Context, string) (cloud.Group, error) {
	if err := g.a.call(); err != nil {
		return cloud.Group{}, err
	}
	if g.a.group == nil {
		return cloud.Group{}, cloud.ErrNotFound
	}
	if g.a.group.Desired == 0 && len(g.a.group.Instances) > 0 {
		g.a.group.Instances = g.a.group.Instances[1:] // it ends
	}
	return *g.a.group, nil
}

func (g groups) Suspend(_ context.Context, _ string, processes ...string) error {
	if err := g.a.call(); err != nil {
		return err
	}
	g.a.group.Suspended = append(g.a.group.Suspended, processes...)
	return nil
}

func (g groups) SetDesired(_ context.Context, _ string, n int) error {
	if err := g.a.call(); err != nil {
		return err
	}
	if n == 1 && len(g.a.actions) == 0 {
		g.a.t.Error("an instance was asked for that nothing ends")
	}
	g.a.emptied = g.a.emptied || n == 0
	g.a.group.Desired = n
	return nil
}

func (g groups) ScheduleOnce(_ context.Context, _, name string, at time.Time, desired int) error {
	if err := g.a.call(); err != nil {
		return err
	}
	g.a.actions = append(g.a.actions, fmt.Sprintf("%s %s %d", name, at.Format(time.RFC3339), desired))
	return nil
}

// weekly is the schedule of a template: another template has another end.
func weekly(template string) stack.Schedule {
	end := "15 19 * * FRI"
	if template != "one" {
		end = "15 20 * * FRI"
	}
	return stack.Schedule{Start: "0 17 * * FRI", End: end, Zone: "Europe/Berlin"}
}

func (a *account) Resources(context.Context, string) ([]cloud.Resource, error) {
	if err := a.call(); err != nil || a.stack == nil {
		return nil, err
	}
	var list []cloud.Resource
	if a.group != nil && !a.handmade {
		list = append(list, cloud.Resource{Name: "Group", ID: "d", Type: "AWS::AutoScaling::AutoScalingGroup", Status: "CREATE_COMPLETE"})
	}
	if a.inForce {
		for _, act := range weekly(a.body).Actions() {
			list = append(list, cloud.Resource{Name: act.Resource, ID: "d|d-" + act.Resource, Type: "AWS::AutoScaling::ScheduledAction", Status: "UPDATE_COMPLETE"})
		}
	}
	return list, nil
}

func (g groups) Schedule(context.Context, string) ([]cloud.ScheduledAction, error) {
	if err := g.a.call(); err != nil {
		return nil, err
	}
	return slices.Clone(g.a.schedule), nil
}

func (g groups) ScheduleAgain(_ context.Context, _ string, s cloud.ScheduledAction) error {
	if err := g.a.call(); err != nil {
		return err
	}
	s.Min, s.Max = -1, -1
	g.a.schedule = append(slices.DeleteFunc(g.a.schedule, func(o cloud.ScheduledAction) bool { return o.Name == s.Name }), s)
	return nil
}

func (g groups) DeleteScheduled(_ context.Context, _, name string) error {
	if err := g.a.call(); err != nil {
		return err
	}
	g.a.actions = slices.DeleteFunc(g.a.actions, func(a string) bool { return strings.HasPrefix(a, name+" ") })
	return nil
}

func (g groups) Activities(context.Context, string) ([]cloud.Activity, error) { return nil, g.a.call() }
