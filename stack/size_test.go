package stack

import (
	"encoding/hex"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
)

// With all the user data and all the policy there can be, a template for both
// architectures is small enough for a request.
func TestSize(t *testing.T) {
	t.Parallel()
	o := kinds()["architectures"]
	random := rand.New(rand.NewSource(1))
	o.Instance.Types = o.Instance.Types[:2] // of both architectures
	half := make([]byte, maxUserData/2)
	random.Read(half)
	o.Instance.UserData = hex.AppendEncode(nil, half) // compresses less than any script
	o.Name = strings.Repeat("n", 32)
	o.Bucket.Prefix = strings.Repeat("p", 100)
	o.RecycleBin = 20
	o.Schedule = Schedule{Start: "0 1 1,15 * MON", End: "15 5 1,15 * MON", Zone: "UTC", Deadline: o.Schedule.Deadline * 2}
	var statements []string
	for n := 0; len(strings.Join(statements, ",")) < 9900; n++ {
		statements = append(statements, fmt.Sprintf(`{"Sid":"Statement%d","Effect":"Allow","Action":["s3:GetObject","s3:PutObject"],"Resource":"arn:aws:s3:::bucket/%d/*"}`, n, n))
	}
	o.Role.Policy = []byte(`{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`)
	b := render(t, o)
	t.Logf("%d bytes", len(b))
	if len(b) >= MaxTemplate {
		t.Errorf("%d bytes", len(b))
	}
	fallback := o
	fallback.Instance.OnDemand = OnDemandFallback
	b = render(t, fallback)
	t.Logf("with the fallback %d bytes, %d of policy", len(b), len(fallback.Role.Policy))
	if len(b) >= MaxTemplate {
		t.Errorf("with the fallback %d bytes", len(b))
	}
	o.Role.Policy = []byte(`{"Version":"2012-10-17","Statement":[` + strings.Join(slices.Repeat(statements, 3), ",") + `]}`)
	if _, err := Template(o); err == nil || !strings.HasSuffix(err.Error(), "split the jobs into two deployments") {
		t.Errorf("too large: %v", err)
	}
	fallback.Role.Policy = o.Role.Policy
	if _, err := Template(fallback); err == nil || !strings.HasSuffix(err.Error(), "split the jobs into two deployments, or do without the fallback to on demand") {
		t.Errorf("too large: %v", err)
	}
}

func TestLaunchTemplates(t *testing.T) {
	t.Parallel()
	p := parse(t, render(t, kinds()["architectures"]))
	outputs := map[string]string{}
	for name := range p.Outputs {
		outputs[name] = "lt-0"
	}
	got := LaunchTemplates(outputs)
	if want := []string{"LaunchTemplateArm64", "LaunchTemplateArm64Steady", "LaunchTemplateX86", "LaunchTemplateX86Steady"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
