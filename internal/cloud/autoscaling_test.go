package cloud_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"mayfly/internal/awstest"
	"mayfly/internal/cloud"
)

const leave = "autoscaling:TerminateInstanceInAutoScalingGroup"

func TestLeaveGroup(t *testing.T) {
	t.Parallel()
	s, c := start(t)
	s.AddGroup(awstest.Group{Name: "onlinebackup", Max: 1, Desired: 1, Instances: []string{"i-0abc"}})
	if err := c.LeaveGroup(t.Context(), "i-0abc", "onlinebackup"); err != nil {
		t.Fatal(err)
	}
	s.InstanceGone("i-0abc")
	g := s.Group("onlinebackup")
	if g.Desired != 0 || g.Relaunched != 0 || len(g.Instances) != 0 || !slices.Equal(g.Left, []string{"i-0abc"}) {
		t.Errorf("%+v", g)
	}
}

// Each way in which the API can fail: what is worth trying again is tried
// again until it works, the rest is said at once.
func TestLeaveGroupFaults(t *testing.T) {
	t.Parallel()
	fault := func(status int, code string) *awstest.Fault {
		return &awstest.Fault{Status: status, Code: code, Text: "said so", Times: 7}
	}
	for name, c := range map[string]struct {
		fault *awstest.Fault
		min   int
		calls int
		want  []string // none: it works in the end
		is    error
	}{
		"throttling":           {fault: fault(400, "Throttling"), calls: 8},
		"rate exceeded":        {fault: fault(400, "RequestLimitExceeded"), calls: 8},
		"activity in progress": {fault: fault(400, "ScalingActivityInProgress"), calls: 8},
		"contention":           {fault: fault(500, "ResourceContention"), calls: 8},
		"server error":         {fault: fault(503, "ServiceUnavailable"), calls: 8},
		"denied": {fault: fault(403, "AccessDenied"), calls: 1, is: cloud.ErrDenied,
			want: []string{"access denied", "grant " + leave + " on group onlinebackup"}},
		"desired is min": {min: 1, calls: 1, want: []string{"minimum size", "minSize (1)", "no scheduled action"}},
		"other validation": {fault: fault(400, "ValidationError"), calls: 1,
			want: []string{leave + " group onlinebackup: not accepted (ValidationError: said so)"}},
		"expired": {fault: fault(403, "ExpiredToken"), calls: 1, want: []string{"expired"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, cl := start(t)
			s.AddGroup(awstest.Group{Name: "onlinebackup", Min: c.min, Max: 1, Desired: 1, Instances: []string{"i-0abc"}})
			if c.fault != nil {
				s.SetFault(leave, *c.fault)
			}
			err := cl.LeaveGroup(t.Context(), "i-0abc", "onlinebackup")
			if (err == nil) != (len(c.want) == 0) {
				t.Fatalf("got %v", err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q lacks %q", err, want)
				}
			}
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%v is not %v", err, c.is)
			}
			if n := s.Calls()[leave]; n != c.calls {
				t.Errorf("%d calls, want %d", n, c.calls)
			}
			if g := s.Group("onlinebackup"); g.Relaunched != 0 {
				t.Errorf("%d replacements", g.Relaunched)
			}
		})
	}
}

func TestInstanceWithoutGroup(t *testing.T) {
	t.Parallel()
	s, c := start(t)
	err := c.LeaveGroup(t.Context(), "i-0abc", "onlinebackup")
	if !errors.Is(err, cloud.ErrNoGroup) || s.Calls()[leave] != 1 {
		t.Errorf("got %v after %d calls", err, s.Calls()[leave])
	}
}

// Whoever leaves a group gets back the time it set, however the API behaves.
func TestLeavingIsBounded(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]awstest.Fault{
		"silent":               {Hang: true},
		"throttled for ever":   {Status: 400, Code: "Throttling", Text: "Rate exceeded"},
		"activity never ends":  {Status: 400, Code: "ScalingActivityInProgress", Text: "busy"},
		"unavailable for ever": {Status: 503, Code: "ServiceUnavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c := start(t)
			s.SetFault(leave, f)
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			begin := time.Now()
			if err := c.LeaveGroup(ctx, "i-0abc", "onlinebackup"); err == nil || time.Since(begin) > 3*time.Second {
				t.Errorf("after %s: %v", time.Since(begin), err)
			}
		})
	}
}
