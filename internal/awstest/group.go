package awstest

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// A Group is an Auto Scaling group. It behaves as AWS's does: an instance that
// goes away while it is still wanted is replaced, unless ReplaceUnhealthy is
// suspended.
type Group struct {
	Name              string
	Min, Max, Desired int
	Instances         []string // ids, in service
	Suspended         []string // processes: "ReplaceUnhealthy", "AZRebalance"
	// Left are the instances that were terminated through the group; Relaunched
	// counts the replacements that it has launched.
	Left       []string
	Relaunched int
}

// AddGroup adds a group; what it is to be, it says.
func (s *Server) AddGroup(g Group) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g.Instances, g.Suspended = slices.Clone(g.Instances), slices.Clone(g.Suspended)
	s.groups = append(s.groups, &g)
}

// Group returns a copy of a group, as it stands; the zero Group when there is
// none of that name.
func (s *Server) Group(name string) Group {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.group(name)
	if g == nil {
		return Group{}
	}
	c := *g
	c.Instances, c.Suspended, c.Left = slices.Clone(g.Instances), slices.Clone(g.Suspended), slices.Clone(g.Left)
	return c
}

// InstanceGone tells the groups that an instance is no longer running: it was
// powered off, or taken. "Any state but running is unhealthy", and replaced at
// once. Source: health checks in the Amazon EC2 Auto Scaling user guide.
func (s *Server) InstanceGone(instance string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.groupOf(instance)
	if g == nil || g.suspended("ReplaceUnhealthy") {
		return
	}
	g.drop(instance)
	g.launch()
}

// group and groupOf find one; s.mu is held.
func (s *Server) group(name string) *Group {
	for _, g := range s.groups {
		if g.Name == name {
			return g
		}
	}
	return nil
}

func (s *Server) groupOf(instance string) *Group {
	for _, g := range s.groups {
		if slices.Contains(g.Instances, instance) {
			return g
		}
	}
	return nil
}

func (g *Group) suspended(process string) bool { return slices.Contains(g.Suspended, process) }

func (g *Group) drop(instance string) {
	g.Instances = slices.DeleteFunc(g.Instances, func(i string) bool { return i == instance })
}

// launch makes up for what is missing.
func (g *Group) launch() {
	for len(g.Instances) < g.Desired && !g.suspended("Launch") {
		g.Relaunched++
		g.Instances = append(g.Instances, fmt.Sprintf("i-relaunched%d", g.Relaunched))
	}
}

// groupCall finds the call of Auto Scaling that form is; nil: none.
func (s *Server) groupCall(c call, form url.Values) (action string, do func()) {
	name := form.Get("Action")
	c.action = "autoscaling:" + name
	do = map[string]func(){
		"TerminateInstanceInAutoScalingGroup": func() { s.terminateInGroup(c, form) },
		"SetDesiredCapacity":                  func() { s.setDesired(c, form) },
		"SuspendProcesses":                    func() { s.processes(c, form, true) },
		"ResumeProcesses":                     func() { s.processes(c, form, false) },
		"DescribeAutoScalingGroups":           func() { s.describeGroups(c, form) },
		"DescribeAutoScalingInstances":        func() { s.describeInstances(c, form) },
	}[name]
	return c.action, do
}

// terminateInGroup is TerminateInstanceInAutoScalingGroup. Without
// ShouldDecrementDesiredCapacity it is turned down, as by AWS; with false, the
// group launches a replacement.
func (s *Server) terminateInGroup(c call, form url.Values) {
	id, decrement := form.Get("InstanceId"), form.Get("ShouldDecrementDesiredCapacity")
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.groupOf(id)
	switch {
	case decrement != "true" && decrement != "false":
		c.fail(400, "ValidationError", "1 validation error detected: Value null at 'shouldDecrementDesiredCapacity' failed to satisfy constraint: Member must not be null")
		return
	case g == nil:
		c.fail(400, "ValidationError", "Instance Id not found - No managed instance found for instance ID: "+id)
		return
	case decrement == "true" && g.Desired <= g.Min:
		c.fail(400, "ValidationError", fmt.Sprintf("Currently, desiredSize equals minSize (%d). Terminating instance without replacement will violate group's min size constraint. Either set shouldDecrementDesiredCapacity flag to false or lower group's min size.", g.Min))
		return
	}
	if decrement == "true" {
		g.Desired--
	}
	g.drop(id)
	g.Left = append(g.Left, id)
	g.launch()
	c.answerXML(`<TerminateInstanceInAutoScalingGroupResponse xmlns="%s"><TerminateInstanceInAutoScalingGroupResult><Activity><ActivityId>0</ActivityId><AutoScalingGroupName>%s</AutoScalingGroupName><Cause>instance %s was taken out of service in response to a user request</Cause><StartTime>2026-11-20T17:00:00Z</StartTime><StatusCode>InProgress</StatusCode><Progress>0</Progress></Activity></TerminateInstanceInAutoScalingGroupResult>%s</TerminateInstanceInAutoScalingGroupResponse>`,
		groupXMLNS, escape(g.Name), escape(id), groupMeta)
}

const (
	groupXMLNS = "http://autoscaling.amazonaws.com/doc/2011-01-01/"
	groupMeta  = "<ResponseMetadata><RequestId>0</RequestId></ResponseMetadata>"
)

// setDesired is SetDesiredCapacity: more is launched, less is terminated.
func (s *Server) setDesired(c call, form url.Values) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.group(form.Get("AutoScalingGroupName"))
	n, err := strconv.Atoi(form.Get("DesiredCapacity"))
	switch {
	case g == nil:
		c.fail(400, "ValidationError", "AutoScalingGroup name not found - no such group: "+form.Get("AutoScalingGroupName"))
		return
	case err != nil || n < g.Min:
		c.fail(400, "ValidationError", fmt.Sprintf("New SetDesiredCapacity value %s is below min value %d for the AutoScalingGroup.", form.Get("DesiredCapacity"), g.Min))
		return
	case n > g.Max:
		c.fail(400, "ValidationError", fmt.Sprintf("New SetDesiredCapacity value %d is above max value %d for the AutoScalingGroup.", n, g.Max))
		return
	}
	g.Desired = n
	for len(g.Instances) > n {
		g.Left = append(g.Left, g.Instances[0])
		g.Instances = g.Instances[1:]
	}
	for len(g.Instances) < n && !g.suspended("Launch") {
		s.launched++
		g.Instances = append(g.Instances, fmt.Sprintf("i-launched%d", s.launched))
	}
	c.answerXML(`<SetDesiredCapacityResponse xmlns="%s">%s</SetDesiredCapacityResponse>`, groupXMLNS, groupMeta)
}

// processes is SuspendProcesses and ResumeProcesses.
func (s *Server) processes(c call, form url.Values, suspend bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.group(form.Get("AutoScalingGroupName"))
	if g == nil {
		c.fail(400, "ValidationError", "AutoScalingGroup name not found - no such group: "+form.Get("AutoScalingGroupName"))
		return
	}
	names := members(form, "ScalingProcesses")
	if len(names) == 0 {
		names = []string{"Launch", "Terminate", "HealthCheck", "ReplaceUnhealthy", "AZRebalance", "AlarmNotification", "ScheduledActions", "AddToLoadBalancer", "InstanceRefresh"}
	}
	for _, name := range names {
		g.Suspended = slices.DeleteFunc(g.Suspended, func(p string) bool { return p == name })
		if suspend {
			g.Suspended = append(g.Suspended, name)
		}
	}
	action := "ResumeProcesses"
	if suspend {
		action = "SuspendProcesses"
	}
	c.answerXML(`<%[1]sResponse xmlns="%[2]s">%[3]s</%[1]sResponse>`, action, groupXMLNS, groupMeta)
}

// describeGroups is DescribeAutoScalingGroups.
func (s *Server) describeGroups(c call, form url.Values) {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := members(form, "AutoScalingGroupNames")
	var b strings.Builder
	for _, g := range s.groups {
		if len(names) > 0 && !slices.Contains(names, g.Name) {
			continue
		}
		fmt.Fprintf(&b, "<member><AutoScalingGroupName>%s</AutoScalingGroupName><AutoScalingGroupARN>%s</AutoScalingGroupARN><MinSize>%d</MinSize><MaxSize>%d</MaxSize><DesiredCapacity>%d</DesiredCapacity><DefaultCooldown>300</DefaultCooldown><HealthCheckType>EC2</HealthCheckType><CreatedTime>2026-01-01T00:00:00Z</CreatedTime><AvailabilityZones><member>%sa</member></AvailabilityZones><Instances>",
			escape(g.Name), escape(GroupARN(g.Name)), g.Min, g.Max, g.Desired, Region)
		for _, id := range g.Instances {
			b.WriteString(instanceXML(id, ""))
		}
		b.WriteString("</Instances><SuspendedProcesses>")
		for _, p := range g.Suspended {
			fmt.Fprintf(&b, "<member><ProcessName>%s</ProcessName><SuspensionReason>User suspended</SuspensionReason></member>", escape(p))
		}
		b.WriteString("</SuspendedProcesses></member>")
	}
	c.answerXML(`<DescribeAutoScalingGroupsResponse xmlns="%s"><DescribeAutoScalingGroupsResult><AutoScalingGroups>%s</AutoScalingGroups></DescribeAutoScalingGroupsResult>%s</DescribeAutoScalingGroupsResponse>`, groupXMLNS, &b, groupMeta)
}

// describeInstances is DescribeAutoScalingInstances.
func (s *Server) describeInstances(c call, form url.Values) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := members(form, "InstanceIds")
	var b strings.Builder
	for _, g := range s.groups {
		for _, id := range g.Instances {
			if len(ids) == 0 || slices.Contains(ids, id) {
				b.WriteString(instanceXML(id, g.Name))
			}
		}
	}
	c.answerXML(`<DescribeAutoScalingInstancesResponse xmlns="%s"><DescribeAutoScalingInstancesResult><AutoScalingInstances>%s</AutoScalingInstances></DescribeAutoScalingInstancesResult>%s</DescribeAutoScalingInstancesResponse>`, groupXMLNS, &b, groupMeta)
}

func instanceXML(id, group string) string {
	name, health := "", "Healthy"
	if group != "" {
		name, health = "<AutoScalingGroupName>"+escape(group)+"</AutoScalingGroupName>", "HEALTHY"
	}
	return "<member>" + name + "<InstanceId>" + escape(id) + "</InstanceId><AvailabilityZone>" + Region + "a</AvailabilityZone><LifecycleState>InService</LifecycleState><HealthStatus>" + health + "</HealthStatus><ProtectedFromScaleIn>false</ProtectedFromScaleIn></member>"
}

// members reads a list of the query protocol: "InstanceIds.member.1".
func members(form url.Values, name string) []string {
	var list []string
	for i := 1; form.Has(fmt.Sprintf("%s.member.%d", name, i)); i++ {
		list = append(list, form.Get(fmt.Sprintf("%s.member.%d", name, i)))
	}
	return list
}

// GroupARN is the ARN of a group of the server's account and region.
func GroupARN(name string) string {
	return "arn:aws:autoscaling:" + Region + ":" + Account + ":autoScalingGroup:00000000-0000-0000-0000-000000000000:autoScalingGroupName/" + name
}
