package cloud_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mayfly/internal/cloud"
)

const stackID = "arn:aws:cloudformation:eu-west-1:123456789012:stack/weekly/1"

var weekly = cloud.StackInput{
	Name: "weekly", Template: []byte("{}"),
	Parameters: map[string]string{"B": "2", "A": "1"}, Tags: map[string]string{"mayfly": "weekly"},
}

func TestStackDescribe(t *testing.T) {
	t.Parallel()
	s, c := newStub(t)
	stacks := must(c.Stacks())
	s.on("DescribeStacks", reply{body: `<Stacks><member><StackId>` + stackID + `</StackId><StackName>weekly</StackName>
		<CreationTime>2026-01-01T00:00:00Z</CreationTime><StackStatus>UPDATE_ROLLBACK_COMPLETE</StackStatus><StackStatusReason>no role</StackStatusReason>
		<Parameters><member><ParameterKey>A</ParameterKey><ParameterValue>1</ParameterValue></member></Parameters>
		<Outputs><member><OutputKey>Topic</OutputKey><OutputValue>arn</OutputValue></member></Outputs>
		<Tags><member><Key>mayfly</Key><Value>weekly</Value></member></Tags></member></Stacks>`})
	got, err := stacks.Describe(t.Context(), "weekly")
	want := cloud.Stack{
		ID: stackID, Name: "weekly", Status: "UPDATE_ROLLBACK_COMPLETE", Reason: "no role",
		Parameters: map[string]string{"A": "1"}, Outputs: map[string]string{"Topic": "arn"}, Tags: map[string]string{"mayfly": "weekly"},
		Changed: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	same(t, got, want, err)
	for _, r := range []reply{fails("ValidationError", "Stack with id weekly does not exist"), {body: "<Stacks></Stacks>"}} {
		s.on("DescribeStacks", r)
		_, err = stacks.Describe(t.Context(), "weekly")
		saysAll(t, err, "cloudformation:DescribeStacks stack weekly: it does not exist", "check its name, account and region")
		if !errors.Is(err, cloud.ErrNotFound) {
			t.Errorf("%v is no ErrNotFound", err)
		}
	}
}

func TestStackResources(t *testing.T) {
	t.Parallel()
	s, c := newStub(t)
	member := `<member><LogicalResourceId>%s</LogicalResourceId><PhysicalResourceId>p-%[1]s</PhysicalResourceId><ResourceType>AWS::SNS::Topic</ResourceType><ResourceStatus>%s</ResourceStatus><LastUpdatedTimestamp>2026-01-01T00:00:00Z</LastUpdatedTimestamp></member>`
	page := func(name, status, next string) reply {
		return reply{body: "<StackResourceSummaries>" + fmt.Sprintf(member, name, status) + "</StackResourceSummaries>" + next}
	}
	s.on("ListStackResources", page("A", "CREATE_COMPLETE", "<NextToken>2</NextToken>"), page("B", "DELETE_COMPLETE", "<NextToken>3</NextToken>"), page("C", "UPDATE_FAILED", ""))
	got, err := must(c.Stacks()).Resources(t.Context(), "weekly")
	want := []cloud.Resource{{Name: "A", ID: "p-A", Type: "AWS::SNS::Topic", Status: "CREATE_COMPLETE"}, {Name: "C", ID: "p-C", Type: "AWS::SNS::Topic", Status: "UPDATE_FAILED"}}
	same(t, got, want, err)
	if n := s.last("ListStackResources").form.Get("NextToken"); n != "3" {
		t.Errorf("the last page asked for is %q", n)
	}
}

func TestStackTemplateAndValidation(t *testing.T) {
	t.Parallel()
	s, c := newStub(t)
	stacks := must(c.Stacks())
	s.on("GetTemplate", reply{body: "<TemplateBody>{&quot;a&quot;: 1}</TemplateBody>"})
	if got, err := stacks.Template(t.Context(), "weekly"); string(got) != `{"a": 1}` || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	s.on("ValidateTemplate", reply{})
	if err := stacks.Validate(t.Context(), []byte("{}")); err != nil {
		t.Error(err)
	}
	s.on("ValidateTemplate", fails("ValidationError", "Template format error: At least one Resources member must be defined."))
	saysAll(t, stacks.Validate(t.Context(), []byte("{}")), "cloudformation:ValidateTemplate the template: not accepted", "At least one Resources member")
}

func TestStackEvents(t *testing.T) {
	t.Parallel()
	event := func(id, resource, physical string) string {
		return fmt.Sprintf(`<member><EventId>%s</EventId><StackId>%s</StackId><StackName>weekly</StackName><LogicalResourceId>%s</LogicalResourceId>
			<PhysicalResourceId>%s</PhysicalResourceId><ResourceType>T</ResourceType><ResourceStatus>CREATE_FAILED</ResourceStatus>
			<ResourceStatusReason>why</ResourceStatusReason><Timestamp>2026-01-01T00:00:00Z</Timestamp></member>`, id, stackID, resource, physical)
	}
	pages := []reply{ // newest first
		{body: "<StackEvents>" + event("5", "weekly", stackID) + event("4", "Topic", "arn") + "</StackEvents><NextToken>2</NextToken>"},
		{body: "<StackEvents>" + event("3", "Topic", "") + event("2", "Role", "r") + "</StackEvents><NextToken>3</NextToken>"},
		{body: "<StackEvents>" + event("1", "weekly", stackID) + "</StackEvents>"},
	}
	for name, x := range map[string]struct {
		stop  func(cloud.StackEvent) bool
		want  string
		pages int
	}{
		"all":        {nil, "12345", 3},
		"after 2":    {func(e cloud.StackEvent) bool { return e.ID == "2" }, "345", 2},
		"nothing":    {func(e cloud.StackEvent) bool { return e.ID == "5" }, "", 1},
		"never seen": {func(cloud.StackEvent) bool { return false }, "12345", 3},
	} {
		s, c := newStub(t)
		s.on("DescribeStackEvents", pages...)
		list, err := must(c.Stacks()).Events(t.Context(), "weekly", x.stop)
		got := ""
		for _, e := range list {
			got += e.ID
			if e.Reason != "why" || e.Status != "CREATE_FAILED" || e.OfStack() != (e.Resource == "weekly") || e.At.IsZero() {
				t.Errorf("%s: %+v", name, e)
			}
		}
		if got != x.want || err != nil || len(s.requests("DescribeStackEvents")) != x.pages {
			t.Errorf("%s: %q after %d requests, %v", name, got, len(s.requests("DescribeStackEvents")), err)
		}
	}
}

func TestStackCreate(t *testing.T) {
	t.Parallel()
	s, c := newStub(t)
	s.on("CreateStack", reply{body: "<StackId>" + stackID + "</StackId>"})
	id, err := must(c.Stacks()).Create(t.Context(), weekly)
	if id != stackID || err != nil {
		t.Errorf("%q, %v", id, err)
	}
	form := s.last("CreateStack").form
	for k, want := range map[string]string{
		"StackName": "weekly", "TemplateBody": "{}", "RetainExceptOnCreate": "true", "Capabilities.member.1": "CAPABILITY_NAMED_IAM",
		"Parameters.member.1.ParameterKey": "A", "Parameters.member.2.ParameterValue": "2", "Tags.member.1.Key": "mayfly",
	} {
		if form.Get(k) != want {
			t.Errorf("%s is %q, want %q", k, form.Get(k), want)
		}
	}
}

// TestStackLostReplies loses the first reply of each change: the second try,
// under the same token, finds that it was accepted.
func TestStackLostReplies(t *testing.T) {
	t.Parallel()
	for action, do := range map[string]func(cloud.Stacks, context.Context) error{
		"CreateStack": func(st cloud.Stacks, ctx context.Context) error {
			id, err := st.Create(ctx, weekly)
			if err == nil && id != stackID {
				err = fmt.Errorf("the id is %q", id)
			}
			return err
		},
		"UpdateStack": func(st cloud.Stacks, ctx context.Context) error {
			changed, err := st.Update(ctx, weekly)
			if err == nil && !changed {
				err = errors.New("nothing changed")
			}
			return err
		},
		"DeleteStack": func(st cloud.Stacks, ctx context.Context) error { return st.Delete(ctx, stackID) },
	} {
		for _, known := range []reply{{body: "<StackId>" + stackID + "</StackId>"}, fails("TokenAlreadyExistsException", "A client request token already exists")} {
			s, c := newStub(t)
			s.on(action, reply{lose: true}, known)
			s.on("DescribeStacks", reply{body: "<Stacks><member><StackId>" + stackID + "</StackId><StackName>weekly</StackName></member></Stacks>"})
			if err := do(must(c.Stacks()), t.Context()); err != nil {
				t.Errorf("%s: %v", action, err)
			}
			all := s.requests(action)
			if len(all) != 2 || all[0].form.Get("ClientRequestToken") == "" || all[0].form.Get("ClientRequestToken") != all[1].form.Get("ClientRequestToken") {
				t.Errorf("%s: %d requests, not two with the same token", action, len(all))
			}
		}
	}
}

func TestStackUpdate(t *testing.T) {
	t.Parallel()
	s, c := newStub(t)
	stacks := must(c.Stacks())
	s.on("UpdateStack", reply{body: "<StackId>" + stackID + "</StackId>"})
	if changed, err := stacks.Update(t.Context(), weekly); !changed || err != nil {
		t.Errorf("%v, %v", changed, err)
	}
	s.on("UpdateStack", fails("ValidationError", "No updates are to be performed."))
	if changed, err := stacks.Update(t.Context(), weekly); changed || err != nil {
		t.Errorf("%v, %v", changed, err)
	}
}

func TestStackDelete(t *testing.T) {
	t.Parallel()
	s, c := newStub(t)
	s.on("DeleteStack", reply{})
	if err := must(c.Stacks()).Delete(t.Context(), stackID); err != nil || s.last("DeleteStack").form.Get("StackName") != stackID {
		t.Error(err)
	}
	s.on("DeleteStack", fails("ValidationError", "Stack ["+stackID+"] cannot be deleted while in status UPDATE_IN_PROGRESS"))
	err := must(c.Stacks()).Delete(t.Context(), stackID)
	saysAll(t, err, "another operation is at work on it", "UPDATE_IN_PROGRESS")
	if !errors.Is(err, cloud.ErrBusy) {
		t.Errorf("%v is no ErrBusy", err)
	}
}

func TestStackChanges(t *testing.T) {
	t.Parallel()
	change := func(action, resource, rest string) string {
		return "<member><Type>Resource</Type><ResourceChange><Action>" + action + "</Action><LogicalResourceId>" + resource + "</LogicalResourceId><ResourceType>AWS::SNS::Topic</ResourceType>" + rest + "</ResourceChange></member>"
	}
	detail := func(attribute, name string) string {
		return "<member><Target><Attribute>" + attribute + "</Attribute><Name>" + name + "</Name></Target></member>"
	}
	s, c := newStub(t)
	s.on("CreateChangeSet", reply{body: "<Id>arn:set</Id><StackId>" + stackID + "</StackId>"})
	s.on("DeleteChangeSet", reply{})
	s.on("DescribeChangeSet",
		reply{body: "<Status>CREATE_PENDING</Status>"}, reply{body: "<Status>CREATE_IN_PROGRESS</Status>"},
		reply{body: "<Status>CREATE_COMPLETE</Status><Changes>" + change("Modify", "A", "<Replacement>Conditional</Replacement><Details>"+detail("Properties", "Tags")+detail("Properties", "Name")+detail("Properties", "Tags")+detail("Metadata", "")+"</Details>") + "</Changes><NextToken>2</NextToken>"},
		reply{body: "<Status>CREATE_COMPLETE</Status><Changes>" + change("Remove", "B", "") + "</Changes>"})
	got, err := must(c.Stacks()).Changes(t.Context(), weekly)
	want := []cloud.Change{
		{Action: "Modify", Resource: "A", Type: "AWS::SNS::Topic", Replaced: "Conditional", Properties: []string{"Metadata", "Name", "Tags"}},
		{Action: "Remove", Resource: "B", Type: "AWS::SNS::Topic"},
	}
	same(t, got, want, err)
	made, gone := s.last("CreateChangeSet").form, s.last("DeleteChangeSet").form
	if made.Get("ChangeSetType") != "UPDATE" || made.Get("ClientToken") == "" || made.Get("ChangeSetName") != gone.Get("ChangeSetName") || gone.Get("StackName") != "weekly" {
		t.Errorf("made %v, deleted %v", made, gone)
	}
}

// TestStackChangesDeletesItsSet: whatever comes of a change set, none stays;
// and where none was made, none is deleted.
func TestStackChangesDeletesItsSet(t *testing.T) {
	t.Parallel()
	failed := func(why string) reply {
		return reply{body: "<Status>FAILED</Status><StatusReason>" + why + "</StatusReason>"}
	}
	made := reply{body: "<Id>arn:set</Id>"}
	denied := reply{status: 403, code: "AccessDenied", said: "no"}
	for name, x := range map[string]struct {
		create, describe, remove reply
		want                     string // of the error; "" for no changes
		deleted                  int
	}{
		"nothing to change":         {made, failed("The submitted information didn't contain changes. Submit different information to create a change set."), reply{}, "", 1},
		"no updates":                {made, failed("No updates are to be performed."), reply{}, "", 1},
		"no updates at once":        {fails("ValidationError", "No updates are to be performed."), reply{}, reply{}, "", 0},
		"it cannot be":              {made, failed("Parameters: [X] must have values"), reply{}, "what would change of stack weekly: Parameters: [X] must have values", 1},
		"it cannot be read":         {made, denied, reply{}, "grant cloudformation:DescribeChangeSet on stack weekly", 1},
		"it cannot be deleted":      {made, failed("No updates are to be performed."), denied, "grant cloudformation:DeleteChangeSet on stack weekly", 1},
		"neither":                   {made, denied, denied, "grant cloudformation:DescribeChangeSet on stack weekly", 1},
		"an update is at work":      {fails("ValidationError", "Stack:x is in UPDATE_IN_PROGRESS state and can not be updated."), reply{}, reply{}, "another operation is at work on it", 0},
		"there is no such stack":    {fails("ValidationError", "Stack [weekly] does not exist"), reply{}, reply{}, "it does not exist", 0},
		"no reply to the beginning": {reply{lose: true}, reply{}, reply{}, "cloudformation:CreateChangeSet stack weekly: ", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c := newStub(t)
			s.on("CreateChangeSet", x.create)
			s.on("DescribeChangeSet", x.describe)
			s.on("DeleteChangeSet", x.remove)
			changes, err := must(c.Stacks()).Changes(t.Context(), weekly)
			if x.want == "" && err != nil || len(changes) != 0 {
				t.Errorf("%v, %v", changes, err)
			}
			if x.want != "" {
				saysAll(t, err, x.want)
			}
			if n := len(s.requests("DeleteChangeSet")); n != x.deleted {
				t.Errorf("%d deletions, want %d", n, x.deleted)
			}
		})
	}
}

func TestStackChangesCancelled(t *testing.T) {
	t.Parallel()
	s, c := newStub(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	s.on("CreateChangeSet", reply{body: "<Id>arn:set</Id>"})
	s.on("DescribeChangeSet", reply{body: "<Status>CREATE_IN_PROGRESS</Status>"})
	s.on("DeleteChangeSet", reply{})
	_, err := must(c.Stacks()).Changes(ctx, weekly)
	saysAll(t, err, "cloudformation:DescribeChangeSet stack weekly: no answer in time")
	if n := len(s.requests("DeleteChangeSet")); n != 1 {
		t.Errorf("%d deletions", n)
	}
	if names := s.requests("CreateChangeSet"); !slices.ContainsFunc(names, func(r request) bool { return strings.HasPrefix(r.form.Get("ChangeSetName"), "mayfly-plan-") }) {
		t.Error("its name does not say whose it is")
	}
}
