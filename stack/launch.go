package stack

import (
	"slices"
	"strconv"
	"strings"
)

// A launchKind is what one launch template is for: an architecture, since an
// image is of one, and whether its types have CPU credits, since a credit
// specification is refused for others.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/burstable-performance-instances.html
type launchKind struct {
	arch    string
	credits bool
}

func launchKinds() []launchKind {
	return []launchKind{{"arm64", true}, {"arm64", false}, {"x86_64", true}, {"x86_64", false}}
}

// name is the launch template's in the stack.
func (k launchKind) name() string {
	arch := map[string]string{"arm64": "Arm64", "x86_64": "X86"}[k.arch]
	if k.credits {
		return "LaunchTemplate" + arch
	}
	return "LaunchTemplate" + arch + "Steady"
}

func (t Type) kind() launchKind {
	family, _, _ := strings.Cut(t.Name, ".")
	return launchKind{t.Arch, slices.Contains([]string{"t2", "t3", "t3a", "t4g"}, family)}
}

// kinds are those of the types, each once.
func (i Instance) kinds() []launchKind {
	var list []launchKind
	for _, t := range i.Types {
		if k := t.kind(); !slices.Contains(list, k) {
			list = append(list, k)
		}
	}
	return list
}

// image is what a type boots.
func (i Instance) image(arch string) Image {
	for _, m := range i.Images {
		if m.Arch == arch {
			if m.RootDevice == "" {
				m.RootDevice = AmazonLinux(arch).RootDevice
			}
			return m
		}
	}
	return AmazonLinux(arch)
}

// launchTemplates adds one for each kind that the types are of, and returns
// what a mixed instances policy says about types and their templates.
func (b builder) launchTemplates() object {
	for _, k := range b.Instance.kinds() {
		b.launchTemplate(k)
	}
	var overrides list
	for _, t := range b.Instance.Types {
		overrides = append(overrides, object{"InstanceType": t.Name, "LaunchTemplateSpecification": specification(t.kind())})
	}
	return object{"LaunchTemplateSpecification": specification(b.Instance.Types[0].kind()), "Overrides": overrides}
}

// specification names a launch template in its newest version, so that a new
// version is a change of the group too.
func specification(k launchKind) object {
	return object{"LaunchTemplateId": ref(k.name()), "Version": attribute("LatestVersionNumber", k.name())}
}

// launchTemplate adds one. Spot and its price are not in it: the group's policy
// says so, and AWS refuses a template that says it too.
// https://docs.aws.amazon.com/autoscaling/ec2/userguide/mixed-instances-groups-set-up-overview.html
func (b builder) launchTemplate(k launchKind) {
	data := object{
		"ImageId":                           b.Instance.image(k.arch).ID,
		"InstanceInitiatedShutdownBehavior": "terminate",
		"IamInstanceProfile":                object{"Arn": attribute("Arn", "InstanceProfile")},
		"MetadataOptions":                   metadataOptions(),
		"BlockDeviceMappings":               b.rootVolume(k.arch),
		"UserData":                          userData(),
		"TagSpecifications":                 list{b.tagged("volume")}, // the group has those of instances
	}
	if k.credits { // else T3 and T4g bill what goes beyond
		data["CreditSpecification"] = object{"CpuCredits": "standard"}
	}
	group := list{attribute("GroupId", "SecurityGroup")}
	if b.Network.PublicAddress {
		// An address of its own can only be asked for with the interface,
		// which then also has the security group.
		data["NetworkInterfaces"] = list{object{
			"DeviceIndex": 0, "AssociatePublicIpAddress": true, "DeleteOnTermination": true, "Groups": group,
		}}
	} else {
		data["SecurityGroupIds"] = group
	}
	b.add(k.name(), resource{Type: "AWS::EC2::LaunchTemplate", Properties: object{
		"LaunchTemplateData": data,
		"TagSpecifications":  list{b.tagged("launch-template")},
	}})
	b.output(k.name(), "The launch template for "+k.arch, ref(k.name()))
}

func (b builder) tagged(kind string) object {
	return object{"ResourceType": kind, "Tags": append(b.tags(), object{"Key": "Name", "Value": "mayfly " + b.Name})}
}

// metadataOptions admit version 2 only, and nothing that forwards packets.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
func metadataOptions() object {
	return object{"HttpEndpoint": "enabled", "HttpTokens": "required", "HttpPutResponseHopLimit": 1}
}

func (b builder) rootVolume(arch string) list {
	ebs := object{"VolumeType": "gp3", "Encrypted": true, "DeleteOnTermination": true}
	if b.Instance.RootGiB > 0 {
		ebs["VolumeSize"] = b.Instance.RootGiB
	}
	return list{object{"DeviceName": b.Instance.image(arch).RootDevice, "Ebs": ebs}}
}

func userData() object { return object{"Fn::FindInMap": list{userDataMap, "Boot", "Base64"}} }

// launchConfiguration adds one, and returns its name. It cannot be changed:
// CloudFormation makes a new one and gives it to the group.
func (b builder) launchConfiguration() string {
	const name = "LaunchConfiguration"
	t := b.Instance.Types[0]
	var image any = b.Instance.image(t.Arch).ID
	if path, ok := strings.CutPrefix(b.Instance.image(t.Arch).ID, resolveSSM); ok {
		// It takes an image's id only; so the image is that of the deployment,
		// not of the launch.
		const parameter = "Image"
		b.t.addParameter(parameter, object{
			"Type": "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>", "Default": path,
			"Description": "Parameter of Systems Manager with the image that instances boot",
		})
		image = ref(parameter)
	}
	properties := object{
		"ImageId": image, "InstanceType": t.Name,
		"IamInstanceProfile":  attribute("Arn", "InstanceProfile"),
		"SecurityGroups":      list{attribute("GroupId", "SecurityGroup")},
		"MetadataOptions":     metadataOptions(),
		"BlockDeviceMappings": b.rootVolume(t.Arch),
		"InstanceMonitoring":  false, // else detailed monitoring is on, and billed
		"UserData":            userData(),
	}
	if b.Network.PublicAddress {
		properties["AssociatePublicIpAddress"] = true
	}
	if b.Instance.OnDemand == "" {
		properties["SpotPrice"] = price(b.Instance.MaxPrice)
	}
	b.add(name, resource{Type: "AWS::AutoScaling::LaunchConfiguration", Properties: properties})
	return name
}

const resolveSSM = "resolve:ssm:"

func (t *template) addParameter(name string, parameter object) {
	if t.Parameters == nil {
		t.Parameters = object{}
	}
	t.Parameters[name] = parameter
}

// price is a number of dollars as EC2 takes it.
func price(usd float64) string { return strconv.FormatFloat(usd, 'f', -1, 64) }
