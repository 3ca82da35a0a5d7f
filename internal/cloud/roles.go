package cloud

import (
	"context"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/smithy-go"
)

// Roles are the account's, of AWS Identity and Access Management.
type Roles struct{ client *iam.Client }

// Roles sends no request.
func (c *Cloud) Roles() (Roles, error) {
	endpoint := c.endpoint("IAM")
	region, err := c.region("", endpoint) // it says which partition
	if err != nil {
		return Roles{}, err
	}
	return Roles{iam.NewFromConfig(c.cfg, func(o *iam.Options) {
		o.Region = region
		o.BaseEndpoint = endpoint
	})}, nil
}

const (
	spotService = "spot.amazonaws.com"
	spotRole    = "AWSServiceRoleForEC2Spot"
)

// EnsureSpotRole creates the service-linked role with which EC2 launches spot
// instances, unless the account has it. The console creates it by itself; the
// API does not.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/service-linked-roles-spot-instance-requests.html
func (r Roles) EnsureSpotRole(ctx context.Context) (created bool, err error) {
	// Creating needs a permission that many lack and few need. Whoever may not
	// look finds out by creating it.
	if has, err := r.RoleExists(ctx, spotRole); has || err != nil && !errors.Is(err, ErrDenied) {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	_, err = r.client.CreateServiceLinkedRole(ctx, &iam.CreateServiceLinkedRoleInput{AWSServiceName: aws.String(spotService)})
	api, ok := errors.AsType[smithy.APIError](err)
	if ok && strings.HasPrefix(api.ErrorCode(), "InvalidInput") && strings.Contains(api.ErrorMessage(), "has been taken") {
		return false, nil
	}
	err = explainSetup(err, "iam:CreateServiceLinkedRole", "the role of "+spotService)
	if errors.Is(err, ErrExists) {
		return false, nil
	}
	return err == nil, err
}

// RoleExists reports whether there is a role of that name.
func (r Roles) RoleExists(ctx context.Context, name string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	_, err := r.client.GetRole(ctx, &iam.GetRoleInput{RoleName: &name})
	return there(explainSetup(err, "iam:GetRole", "role "+name))
}

// ProfileExists reports whether there is an instance profile of that name.
func (r Roles) ProfileExists(ctx context.Context, name string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	_, err := r.client.GetInstanceProfile(ctx, &iam.GetInstanceProfileInput{InstanceProfileName: &name})
	return there(explainSetup(err, "iam:GetInstanceProfile", "instance profile "+name))
}

// there makes an answer of whether an error says that something is missing.
func there(err error) (bool, error) {
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
