package cloud_test

import (
	"errors"
	"fmt"
	"testing"

	"mayfly/internal/cloud"
)

func TestModifyVolume(t *testing.T) {
	t.Parallel()
	begun := reply{body: "<volumeModification><volumeId>vol-1</volumeId><modificationState>modifying</modificationState><targetSize>16</targetSize></volumeModification>"}
	goesOn := fails("IncorrectModificationState", "Cannot modify volume vol-1, currently in modification state OPTIMIZING")
	last := func(state string, gib int) reply {
		return reply{body: fmt.Sprintf("<volumeModificationSet><item><modificationState>%s</modificationState><targetSize>%d</targetSize><startTime>2026-11-20T16:00:00Z</startTime></item></volumeModificationSet>", state, gib)}
	}
	for name, x := range map[string]struct {
		answer []reply
		last   reply
		want   []string // nil: it is fine
		kind   error
	}{
		"begun":       {answer: []reply{begun}},
		"throttled":   {answer: []reply{throttled, begun}},
		"lost answer": {answer: []reply{{lose: true}, goesOn}, last: last("modifying", 16)},
		"other size":  {answer: []reply{goesOn}, last: last("optimizing", 12), kind: cloud.ErrBusy, want: []string{"ec2:ModifyVolume volume vol-1: the last change of it goes on (IncorrectModificationState: ", "four times in 24 hours"}},
		"long ago":    {answer: []reply{goesOn}, last: last("completed", 16), kind: cloud.ErrBusy, want: []string{"the last change of it goes on"}},
		"may not ask": {answer: []reply{goesOn}, last: fails("UnauthorizedOperation", "no"), kind: cloud.ErrBusy, want: []string{"the last change of it goes on"}},
		"too often": {answer: []reply{fails("VolumeModificationRateExceeded", "You've reached the maximum modification rate per volume limit.")}, kind: cloud.ErrBusy,
			want: []string{"it has been changed too often (VolumeModificationRateExceeded: You've reached", "try again then"}},
		"smaller":  {answer: []reply{fails("InvalidParameterValue", "New size cannot be smaller than existing size")}, want: []string{"cannot be smaller", "name a size above"}},
		"a quota":  {answer: []reply{fails("VolumeLimitExceeded", "gp3")}, want: []string{"a quota of the account is used up"}},
		"not here": {answer: []reply{noVolume}, kind: cloud.ErrNotFound, want: []string{"volume vol-1: it does not exist", "mayfly volume list"}},
		"denied":   {answer: []reply{fails("UnauthorizedOperation", "no")}, kind: cloud.ErrDenied, want: []string{"grant ec2:ModifyVolume on volume vol-1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c := newStub(t)
			s.on("ModifyVolume", x.answer...)
			s.on("DescribeVolumesModifications", x.last)
			err := must(c.EC2()).ModifyVolume(t.Context(), "vol-1", 16)
			if x.want == nil && err != nil {
				t.Error(err)
			} else if x.want != nil {
				saysAll(t, err, x.want...)
			}
			if x.kind != nil && !errors.Is(err, x.kind) {
				t.Errorf("%v is no: %v", err, x.kind)
			}
			if f := s.last("ModifyVolume").form; f.Get("VolumeId") != "vol-1" || f.Get("Size") != "16" || f.Get("VolumeType") != "" {
				t.Errorf("asked for %v", f)
			}
		})
	}
}
