//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mayfly/stack"
)

// A groupUpdate is one that machine.mjs has seen.
type groupUpdate struct {
	At, Percent int
	Changes     bool // the share was another before
	Instances   int  // that the group had
}

// groupState is how the group is from a time on.
type groupState struct {
	At        int      `json:"at"` // seconds after the failed launch
	Desired   int      `json:"desired"`
	Instances int      `json:"instances"`
	Denies    []string `json:"denies,omitempty"`
	Applied   []string `json:"applied,omitempty"`
	Gone      bool     `json:"gone,omitempty"`
}

// share is the group's distribution, with so many percent on demand.
func share(percent int) map[string]any {
	return map[string]any{
		"OnDemandAllocationStrategy": "lowest-price", "OnDemandBaseCapacity": 0, "OnDemandPercentageAboveBaseCapacity": percent,
		"SpotAllocationStrategy": "price-capacity-optimized", "SpotMaxPrice": "0.02",
	}
}

const minutes = 60

// TestFallback executes the machine that buys on demand, with JSONata of the
// version that Step Functions has, on groups as they may be after a launch has
// failed. The longest run of these takes 2 h 15 min, and it waits an hour more.
func TestFallback(t *testing.T) {
	t.Parallel()
	o := largest(t)
	schedule, err := stack.NewSchedule("0 17 * * FRI", "Europe/Berlin", 2*time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	o.Schedule = schedule
	machine := machineOf(t, o, "Fallback")
	waiting := groupState{Desired: 1}
	at := func(minute, desired, instances int) groupState {
		return groupState{At: minute * minutes, Desired: desired, Instances: instances}
	}
	denied := func(s groupState, calls ...string) groupState { s.Denies = calls; return s }
	const fell, cannot, stuck = "no spot instance, this run is bought on demand", "this run cannot be bought on demand", "every run is bought on demand now"
	for _, tt := range []struct {
		name    string
		states  []groupState
		starts  []int // seconds
		share   int
		updates []string // "MINUTE: PERCENT"
		mails   []string
		body    string // of the last mail
		left    int    // share
	}{
		{name: "spot after all", states: []groupState{waiting, {At: 30, Desired: 1, Instances: 1}}},
		{name: "spot came and went", states: []groupState{waiting, {At: 30, Desired: 1, Instances: 1}, at(1, 0, 0)}},
		{name: "over", states: []groupState{at(0, 0, 0)}},
		{name: "the group is gone", states: []groupState{{Gone: true}}},
		{name: "an old instance is going", states: []groupState{at(0, 1, 1), at(10, 0, 0)}},
		{
			name: "a run", states: []groupState{waiting, at(3, 1, 1), at(63, 0, 1), at(65, 0, 0)},
			updates: []string{"2: 100", "67: 0"}, mails: []string{fell}, body: "\n  Could not launch Spot Instances. \"$x\" & 'y'\n",
		},
		{
			name: "on demand fails, too", states: []groupState{waiting, at(135, 0, 0)}, starts: []int{0, 5 * minutes, 60 * minutes},
			updates: []string{"2: 100", "137: 0"}, mails: []string{fell},
		},
		{
			name: "two at the same moment", states: []groupState{waiting, at(3, 1, 1), at(30, 0, 0)}, starts: []int{0, 0},
			updates: []string{"2: 100", "2: 100", "32: 0", "32: 0"}, mails: []string{fell, fell},
		},
		{
			name: "two within a second", states: []groupState{waiting, at(3, 1, 1), at(30, 0, 0)}, starts: []int{0, 1},
			updates: []string{"2: 100", "32: 0"}, mails: []string{fell},
		},
		{
			name: "two runs, one after the other", states: []groupState{waiting, at(3, 1, 1), at(30, 0, 0), at(33, 1, 0), at(40, 1, 1), at(60, 0, 0)}, starts: []int{0, 34 * minutes},
			updates: []string{"2: 100", "32: 0", "36: 100", "61: 0"}, mails: []string{fell, fell},
		},
		{
			name: "never bought", states: []groupState{waiting},
			updates: []string{"2: 100", "197: 0"}, mails: []string{fell},
		},
		{
			name: "still at work", states: []groupState{waiting, at(3, 1, 1)},
			updates: []string{"2: 100"}, mails: []string{fell, stuck}, left: 100,
			body: "it has had an instance for 3h15m, longer than a run takes",
		},
		{
			name: "on demand by another, to the end", states: []groupState{waiting, at(1, 1, 1), at(20, 0, 0)}, share: 100, left: 100,
		},
		{
			name: "may not look", states: []groupState{denied(waiting, "describe")},
			mails: []string{cannot}, body: "AutoScaling.AutoScalingException: not authorized to describe GROUP",
		},
		{
			name: "may not change", states: []groupState{denied(waiting, "update")},
			mails: []string{cannot}, body: "AutoScaling.AutoScalingException: not authorized to update GROUP",
		},
		{
			name: "may not look for a while", states: []groupState{denied(waiting, "describe"), at(5, 1, 0), at(6, 1, 1), denied(at(9, 1, 1), "describe"), at(30, 0, 0)},
			updates: []string{"5: 100", "30: 0"}, mails: []string{fell},
		},
		{
			name: "spot comes while it may not change", states: []groupState{denied(waiting, "update"), at(5, 1, 1)},
		},
		{
			name: "changed without an answer", states: []groupState{{Desired: 1, Applied: []string{"update"}}, at(3, 1, 1), at(30, 0, 0)},
			updates: []string{"2: 100", "33: 0"},
		},
		{
			name: "may not change back", states: []groupState{waiting, at(3, 1, 1), denied(at(30, 0, 0), "update")},
			updates: []string{"2: 100"}, mails: []string{fell, stuck}, left: 100,
			body: "AutoScaling.AutoScalingException: not authorized to update GROUP\n",
		},
		{
			name: "may not look any more", states: []groupState{waiting, denied(at(3, 1, 1), "describe")},
			updates: []string{"2: 100"}, mails: []string{fell, stuck}, left: 100,
			body: "AutoScaling.AutoScalingException: not authorized to describe GROUP\n",
		},
		{
			name: "may not send", states: []groupState{denied(waiting, "publish"), at(3, 1, 1), at(30, 0, 0)},
			updates: []string{"2: 100", "32: 0"},
		},
	} {
		for _, sparse := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, sparse %v", tt.name, sparse), func(t *testing.T) {
				t.Parallel()
				input := map[string]any{
					"definition": machine, "sparse": sparse, "group": map[string]any{"name": "GROUP", "distribution": share(tt.share), "states": tt.states},
					"input": map[string]any{"detail": map[string]string{"StatusMessage": "Could not launch Spot Instances. \"$x\" & 'y'"}},
				}
				if tt.starts != nil {
					input["starts"] = tt.starts
				}
				got := executeWith(t, input)
				if got.Status != "SUCCEEDED" {
					t.Fatalf("%+v", got)
				}
				var updates, mails []string
				left := tt.share
				for _, u := range got.Updates {
					updates = append(updates, fmt.Sprintf("%d: %d", u.At/minutes, u.Percent))
					left = u.Percent
					if u.Changes && u.Instances > 0 {
						t.Errorf("%+v replaces an instance", u)
					}
				}
				if !slices.Equal(updates, tt.updates) || left != tt.left {
					t.Errorf("changes %q, want %q; left at %d %%", updates, tt.updates, left)
				}
				for _, m := range got.Mails {
					mails = append(mails, strings.TrimPrefix(m.Subject, "mayfly everything: "))
					if len(m.Subject) > 99 || m.TopicArn != "TOPIC" || strings.Contains(m.Message, "${") || !strings.Contains(m.Message, "mayfly status\n") {
						t.Errorf("the mail is %+v", m)
					}
				}
				if !slices.Equal(mails, tt.mails) {
					t.Fatalf("mails %q, want %q", mails, tt.mails)
				}
				if len(mails) == 0 {
					return
				}
				last := got.Mails[len(got.Mails)-1].Message
				if !strings.Contains(last, tt.body) {
					t.Errorf("the last mail is %s", last)
				}
				if command := `aws autoscaling update-auto-scaling-group --region REGION --auto-scaling-group-name GROUP --mixed-instances-policy '{"InstancesDistribution":{"OnDemandAllocationStrategy":"lowest-price","OnDemandBaseCapacity":0,"OnDemandPercentageAboveBaseCapacity":0,`; strings.Contains(last, command) != (tt.left == 100) {
					t.Errorf("the last mail is %s", last)
				}
			})
		}
	}
}
