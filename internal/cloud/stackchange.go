package cloud

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

// A StackInput is a stack as it is to be. Its template has TemplateMax bytes
// at most.
type StackInput struct {
	Name       string
	Template   []byte
	Parameters map[string]string
	Tags       map[string]string
}

// Create begins to create a stack and returns its id. What fails is rolled
// back, resources that are to be retained included: they are empty then.
// ErrExists: there is a stack of that name. A reply that is lost and asked for
// again counts once.
func (s Stacks) Create(ctx context.Context, in StackInput) (id string, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	out, err := s.client.CreateStack(ctx, &cloudformation.CreateStackInput{
		StackName: &in.Name, TemplateBody: in.template(), Parameters: in.parameters(), Tags: in.tags(),
		Capabilities: capabilities(), ClientRequestToken: token(), RetainExceptOnCreate: aws.Bool(true),
	})
	if isRepeated(err) {
		made, err := s.Describe(ctx, in.Name)
		return made.ID, err
	}
	if err != nil {
		return "", explainSetup(err, "cloudformation:CreateStack", "stack "+in.Name)
	}
	return aws.ToString(out.StackId), nil
}

// Update begins to update a stack; changed says whether there is anything to
// update. ErrBusy: an update is at work already. ErrNotFound: there is no such
// stack. A reply that is lost and asked for again counts once.
func (s Stacks) Update(ctx context.Context, in StackInput) (changed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	_, err = s.client.UpdateStack(ctx, &cloudformation.UpdateStackInput{
		StackName: &in.Name, TemplateBody: in.template(), Parameters: in.parameters(), Tags: in.tags(),
		Capabilities: capabilities(), ClientRequestToken: token(), RetainExceptOnCreate: aws.Bool(true),
	})
	switch {
	case isNoUpdate(err):
		return false, nil
	case isRepeated(err):
		return true, nil
	}
	return err == nil, explainSetup(err, "cloudformation:UpdateStack", "stack "+in.Name)
}

// Delete begins to delete a stack, by its id: one of the same name that is made
// later is another. A stack that is gone already is no error. ErrBusy: an
// update is at work on it.
func (s Stacks) Delete(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	_, err := s.client.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: &id, ClientRequestToken: token()})
	if isRepeated(err) {
		return nil
	}
	return explainSetup(err, "cloudformation:DeleteStack", "stack "+id)
}

func (in StackInput) template() *string { return aws.String(string(in.Template)) }

func (in StackInput) parameters() []types.Parameter {
	var list []types.Parameter
	for _, k := range slices.Sorted(maps.Keys(in.Parameters)) {
		list = append(list, types.Parameter{ParameterKey: aws.String(k), ParameterValue: aws.String(in.Parameters[k])})
	}
	return list
}

func (in StackInput) tags() []types.Tag {
	var list []types.Tag
	for _, k := range slices.Sorted(maps.Keys(in.Tags)) {
		list = append(list, types.Tag{Key: aws.String(k), Value: aws.String(in.Tags[k])})
	}
	return list
}

// capabilities lets a template make a role under a name of its own.
func capabilities() []types.Capability { return []types.Capability{types.CapabilityCapabilityNamedIam} }

// token makes a request that is sent twice, because the first reply was lost,
// count once.
func token() *string {
	b := make([]byte, 12)
	rand.Read(b) // never fails
	return aws.String(hex.EncodeToString(b))
}
