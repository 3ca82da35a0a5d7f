package cloud_test

import (
	"errors"
	"strings"
	"testing"

	"mayfly/internal/cloud"
)

func TestImage(t *testing.T) {
	t.Parallel()
	s, c := newStub(t)
	s.on("DescribeImages", reply{body: `<imagesSet><item><architecture>arm64</architecture><rootDeviceName>/dev/sda1</rootDeviceName><blockDeviceMapping>
		<item><deviceName>/dev/sdb</deviceName><ebs><volumeSize>100</volumeSize></ebs></item>
		<item><deviceName>/dev/sdc</deviceName><virtualName>ephemeral0</virtualName></item>
		<item><deviceName>/dev/sda1</deviceName><ebs><volumeSize>12</volumeSize></ebs></item></blockDeviceMapping></item></imagesSet>`})
	got, err := must(c.EC2()).Image(t.Context(), "ami-1")
	same(t, got, cloud.Image{Architecture: "arm64", RootDevice: "/dev/sda1", RootGiB: 12}, err)
	if f := s.last("DescribeImages").form; f.Get("ImageId.1") != "ami-1" {
		t.Errorf("asked for %v", f)
	}
	for _, none := range []reply{{body: "<imagesSet/>"}, fails("InvalidAMIID.NotFound", "The image id '[ami-1]' does not exist")} {
		s, c := newStub(t)
		s.on("DescribeImages", none)
		if _, err := must(c.EC2()).Image(t.Context(), "ami-1"); !errors.Is(err, cloud.ErrNotFound) || !strings.Contains(err.Error(), "check instance.image") {
			t.Errorf("error %v", err)
		}
	}
}
