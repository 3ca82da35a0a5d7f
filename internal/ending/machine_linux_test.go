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
