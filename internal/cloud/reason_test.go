package cloud_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"mayfly/internal/awstest"
	"mayfly/internal/cloud"
)

// A request whose time is over while it waits to be tried again says what AWS
// has answered, not that nothing came.
func TestReasonOutlivesTheTime(t *testing.T) {
	t.Parallel()
	for _, f := range []awstest.Fault{
		{Status: 400, Code: "Throttling", Text: "Rate exceeded"},
		{Status: 503, Code: "ServiceUnavailable", Text: "down"},
	} {
		t.Run(f.Code, func(t *testing.T) {
			t.Parallel()
			s, _ := start(t)
			s.SetFault(leave, f)
			s.SetFault("sns:Publish", f)
			env := s.Env()
			c, err := cloud.Load(t.Context(), cloud.Options{
				Getenv: func(k string) string { return env[k] }, MaxBackoff: time.Hour,
			})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- c.LeaveGroup(ctx, "i-0abc", "onlinebackup") }()
			for _, err := range []error{publisher(t, c, "onlinebackup").Publish(ctx, "s", "b"), <-done} {
				if err == nil || !strings.Contains(err.Error(), f.Code) || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v does not say %s", err, f.Code)
				}
			}
		})
	}
}
