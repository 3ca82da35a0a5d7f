package cloud

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

// parameterMax is how many bytes a parameter of the standard tier, which is
// free, has.
// https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html
const parameterMax = 4096

func (p Parameters) client(name string) (*ssm.Client, error) {
	endpoint := p.c.endpoint("SSM")
	region, err := p.c.region(arnRegion(name), endpoint)
	if err != nil {
		return nil, err
	}
	return ssm.NewFromConfig(p.c.cfg, func(o *ssm.Options) {
		o.Region = region
		o.BaseEndpoint = endpoint
	}), nil
}

// Exists reports whether there is a parameter of that name. It is not
// decrypted.
func (p Parameters) Exists(ctx context.Context, name string) (bool, error) {
	client, err := p.client(name)
	if err != nil {
		return false, fmt.Errorf("ssm:GetParameter %s: %w", name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	_, err = client.GetParameter(ctx, &ssm.GetParameterInput{Name: &name, WithDecryption: aws.Bool(false)})
	return there(explainSetup(err, "ssm:GetParameter", name))
}

// Put keeps value under name as a SecureString with the account's own key. One
// that exists is replaced only with overwrite; else it is ErrExists. The errors
// never hold the value.
func (p Parameters) Put(ctx context.Context, name, value string, overwrite bool) error {
	client, err := p.client(name)
	switch {
	case err != nil:
		return fmt.Errorf("ssm:PutParameter %s: %w", name, err)
	case value == "":
		return fmt.Errorf("ssm:PutParameter %s: the secret is empty", name)
	case len(value) > parameterMax:
		return fmt.Errorf("ssm:PutParameter %s: the secret has %d bytes, a parameter takes %d: keep it in Secrets Manager, as secretsmanager:NAME", name, len(value), parameterMax)
	}
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	_, err = client.PutParameter(ctx, &ssm.PutParameterInput{
		Name: &name, Value: &value, Type: types.ParameterTypeSecureString, Overwrite: &overwrite,
	})
	err = explainSetup(err, "ssm:PutParameter", name)
	if err != nil && strings.Contains(err.Error(), value) {
		return fmt.Errorf("ssm:PutParameter %s: not accepted (the answer repeats the secret and is not shown)", name)
	}
	return err
}

// Remove deletes a parameter. One that does not exist is as good as deleted.
func (p Parameters) Remove(ctx context.Context, name string) error {
	client, err := p.client(name)
	if err != nil {
		return fmt.Errorf("ssm:DeleteParameter %s: %w", name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	_, err = client.DeleteParameter(ctx, &ssm.DeleteParameterInput{Name: &name})
	if err = explainSetup(err, "ssm:DeleteParameter", name); errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}
