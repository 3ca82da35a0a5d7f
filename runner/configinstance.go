package runner

import (
	"errors"
	"fmt"
	"regexp"
)

// InstanceSpec is what kind of instance does the work.
type InstanceSpec struct {
	Types               []string `yaml:"types" doc:"instance types, any of which will do; small ones by default" example:"[t4g.nano, t4g.micro]"`
	MaxPrice            float64  `yaml:"max_price" doc:"the most to pay for an instance hour, in US dollars; the on-demand price by default" min:"0.001" max:"1000" example:"0.02"`
	OnDemand            OnDemand `yaml:"on_demand" doc:"when to buy at the on-demand price, which is hardly ever out of capacity and never interrupted: always, or as a fallback when a spot instance cannot be launched; never by default" example:"fallback"`
	Image               Image    `yaml:"image" doc:"what it boots: an AMI of your own, or resolve:ssm:/PARAMETER; the newest Amazon Linux 2023 by default" example:"ami-0123456789abcdef0"`
	RootDevice          Device   `yaml:"root_device" doc:"name of the image's root device; /dev/xvda by default, which is Amazon Linux's and Debian's" example:"/dev/sda1"`
	Disk                int      `yaml:"disk" doc:"size of its root volume in GiB; the image's own by default" min:"1" max:"16384" example:"8"`
	LaunchConfiguration bool     `yaml:"launch_configuration" doc:"launch from a launch configuration, in an account that still has those; needs one type and max_price"`
}

// DefaultTypes are what does the work when the config names no types: any of
// them has the memory, and the more there are, the more often there is spot
// capacity.
func DefaultTypes() []string {
	return []string{"t4g.nano", "t4g.micro", "t3a.nano", "t3a.micro", "t3.nano", "t3.micro"}
}

// NetworkSpec is where the instance is.
type NetworkSpec struct {
	Subnets []Subnet `yaml:"subnets" doc:"subnets of one VPC, each with a way out to the internet" example:"[subnet-0123456789abcdef0]"`
	// PublicIP is needed where the way out is an internet gateway and the
	// subnet gives no addresses by itself.
	PublicIP bool `yaml:"public_ip" doc:"give the instance a public address, where the subnets do not by themselves"`
}

// imageGiB is the size of the root volume of Amazon Linux 2023; a smaller one
// cannot be made of its snapshot, so that no instance could be launched.
const imageGiB = 8

// OnDemand is when an instance is bought at the on-demand price; "" is never.
type OnDemand string

// The words of on_demand.
const (
	OnDemandAlways   OnDemand = "always"
	OnDemandFallback OnDemand = "fallback"
)

// Pattern is the form for the schema.
func (OnDemand) Pattern() string { return `^(always|fallback)$` }

// UnmarshalText checks the word.
func (o *OnDemand) UnmarshalText(b []byte) error {
	switch w := OnDemand(b); w {
	case OnDemandAlways, OnDemandFallback:
		*o = w
		return nil
	}
	return errors.New("is neither always nor fallback: write always, or fallback for when a spot instance cannot be launched, or remove it for spot alone")
}

// An Image is what an instance boots: an AMI's id, or resolve:ssm: and the
// name of a public or own parameter that holds one.
// https://docs.aws.amazon.com/autoscaling/ec2/userguide/using-systems-manager-parameters.html
type Image string

// Pattern is the form for the schema.
func (Image) Pattern() string { return `^(ami-[0-9a-f]{8,17}|resolve:ssm:/[A-Za-z0-9._/-]{1,500})$` }

var imageForm = regexp.MustCompile(Image("").Pattern())

// UnmarshalText checks the form.
func (i *Image) UnmarshalText(b []byte) error {
	if !imageForm.Match(b) {
		return errors.New("not an image: write an AMI's id, like ami-0123456789abcdef0, or resolve:ssm:/PARAMETER")
	}
	*i = Image(b)
	return nil
}

// A Device is the name of a block device, as an image maps it.
type Device string

// Pattern is the form for the schema.
func (Device) Pattern() string { return `^/dev/[a-z][a-z0-9]{1,15}$` }

var deviceForm = regexp.MustCompile(Device("").Pattern())

// UnmarshalText checks the form.
func (d *Device) UnmarshalText(b []byte) error {
	if !deviceForm.Match(b) {
		return errors.New("not a device: write it as the image names it, like /dev/xvda or /dev/sda1")
	}
	*d = Device(b)
	return nil
}

// A Subnet is a subnet's id.
type Subnet string

// Pattern is the form for the schema.
func (Subnet) Pattern() string { return `^subnet-[0-9a-f]{8,17}$` }

var subnetForm = regexp.MustCompile(Subnet("").Pattern())

// UnmarshalText checks the form.
func (s *Subnet) UnmarshalText(b []byte) error {
	if !subnetForm.Match(b) {
		return errors.New("not a subnet's id: write it like subnet-0123456789abcdef0")
	}
	*s = Subnet(b)
	return nil
}

var instanceType = regexp.MustCompile(`^[a-z][a-z0-9-]{0,19}\.[a-z0-9-]{2,20}$`)

func (v checker) instance() {
	in := v.c.Instance
	seen := map[string]bool{}
	for i, t := range in.Types {
		at := fmt.Sprintf("instance.types[%d]", i)
		switch {
		case !instanceType.MatchString(t):
			v.doc.Add(at, "not an instance type", "write it like t4g.nano")
		case seen[t]:
			v.doc.Add(at, "is there twice", "remove one")
		}
		seen[t] = true
	}
	if v.doc.Has("instance.types") && len(in.Types) == 0 {
		v.doc.Add("instance.types", "is an empty list", "name one, or remove the key")
	}
	if in.RootDevice != "" && in.Image == "" {
		v.doc.Add("instance.root_device", "there is no image that it could be of", "add image, or remove it")
	}
	if v.doc.Has("instance.disk") && in.Image == "" && in.Disk > 0 && in.Disk < imageGiB {
		v.doc.Add("instance.disk", fmt.Sprintf("is smaller than Amazon Linux's own root volume, %d GiB", imageGiB), "write at least that, or leave it out")
	}
	if in.OnDemand == OnDemandAlways && in.MaxPrice > 0 {
		v.doc.Add("instance.max_price", "is for spot instances, and on_demand is always", "remove one of the two, or write on_demand: fallback")
	}
	if in.LaunchConfiguration {
		v.launchConfiguration()
	}
}

// launchConfiguration checks what one cannot do.
// https://docs.aws.amazon.com/autoscaling/ec2/userguide/launch-configurations.html
func (v checker) launchConfiguration() {
	in := v.c.Instance
	if len(in.Types) != 1 {
		v.doc.Add("instance.launch_configuration", fmt.Sprintf("launches one instance type, and there are %d", len(in.Types)), "name one under types, released before 2023, or remove it")
	}
	switch {
	case in.OnDemand == OnDemandFallback:
		v.doc.Add("instance.on_demand", "a launch configuration cannot fall back from spot to on demand", "write on_demand: always, or remove launch_configuration")
	case in.OnDemand == "" && in.MaxPrice == 0:
		v.doc.Add("instance.launch_configuration", "buys spot instances only up to a price", "add max_price, or on_demand: always")
	}
}

// network checks the subnets.
func (v checker) network() {
	n := v.c.Network
	seen := map[Subnet]bool{}
	for i, s := range n.Subnets {
		if seen[s] {
			v.doc.Add(fmt.Sprintf("network.subnets[%d]", i), "is there twice", "remove one")
		}
		seen[s] = true
	}
	if v.doc.Has("network") && len(n.Subnets) == 0 {
		v.doc.Add("network", "names no subnet", "add subnets, or remove it for the default VPC, whose subnets need nothing else")
	}
}
