package ending

import (
	"context"
	"strings"
	"testing"
)

// No test can end the machine it runs on, and none has the means to. Nor is
// metadata asked where nothing looks like an instance.
func TestThisMachineRefusesInTests(t *testing.T) {
	t.Parallel()
	for told, want := range map[bool]string{false: "--end-instance was not given", true: "this is a test"} {
		m, err := ThisMachine(t.Context(), told, func(context.Context) string {
			t.Error("metadata was asked")
			return "i-0abc"
		})
		if m != nil {
			t.Fatalf("told %v: the means to end this machine were handed out", told)
		}
		if err == nil || !strings.Contains(err.Error(), "this machine is not ended: "+want) {
			t.Errorf("told %v: got %v", told, err)
		}
	}
}

// Even a program that is no test would not end the machine that the tests run
// on: only the guard's verdict is asked for here, not the means.
func TestThisMachineIsNoInstanceToEnd(t *testing.T) {
	t.Parallel()
	f := look()
	if !f.testing {
		t.Error("a test binary is not recognized")
	}
	f.told, f.testing, f.root, f.systemd, f.armed = true, false, true, true, true
	if err := f.elsewhere(); err == nil || !strings.Contains(err.Error(), "does not belong to the unit mayfly.service") {
		t.Errorf("got %v", err)
	}
}
