package cloud

import (
	"context"
	"errors"
	"fmt"
	"html"
	"net/url"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"
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
// that exists is replaced only with overwrite; else it is ErrExists, as it is
// when the reply to a first try was lost. The errors never hold the value, nor
// the SDK's error.
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
	return withoutSecret(explainSetup(err, "ssm:PutParameter", name), value)
}

// withoutSecret takes from an error what AWS said, where that may hold the
// secret or part of it: then only the code is left. The SDK's error is cut off,
// so that nobody can print it.
func withoutSecret(err error, value string) error {
	e, ok := errors.AsType[*actionError](err)
	if !ok {
		return err
	}
	code := "no reply"
	if api, ok := errors.AsType[smithy.APIError](e.err); ok {
		code = api.ErrorCode()
		if code == "ValidationException" || repeats(api.ErrorMessage(), value) {
			e.reason = "not accepted (" + code + "; what AWS said is not shown, it may hold the secret)"
		}
	}
	e.err = errors.New(code)
	return e
}

// repeats reports whether a text holds a secret as it is, quoted or escaped.
func repeats(said, value string) bool {
	quoted := strconv.Quote(value)
	for _, form := range []string{value, quoted[1 : len(quoted)-1], url.QueryEscape(value), html.EscapeString(value)} {
		if strings.Contains(said, form) {
			return true
		}
	}
	return false
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

// PutPlain keeps value under name as a String, which is not encrypted: who may
// read it is a matter of IAM alone. What is there is replaced.
func (p Parameters) PutPlain(ctx context.Context, name, value string) error {
	const action = "ssm:PutParameter"
	client, err := p.client(name)
	switch {
	case err != nil:
		return fmt.Errorf("%s %s: %w", action, name, err)
	case value == "":
		return fmt.Errorf("%s %s: the value is empty", action, name)
	case len(value) > parameterMax:
		return fmt.Errorf("%s %s: the value has %d bytes, a parameter takes %d", action, name, len(value), parameterMax)
	}
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	_, err = client.PutParameter(ctx, &ssm.PutParameterInput{
		Name: &name, Value: &value, Type: types.ParameterTypeString, Tier: types.ParameterTierStandard, Overwrite: aws.Bool(true),
	})
	return explainSetup(err, action, name)
}

// Plain returns the value of a parameter, and whether there is one. One that is
// encrypted is an error.
func (p Parameters) Plain(ctx context.Context, name string) (string, bool, error) {
	const action = "ssm:GetParameter"
	client, err := p.client(name)
	if err != nil {
		return "", false, fmt.Errorf("%s %s: %w", action, name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	out, err := client.GetParameter(ctx, &ssm.GetParameterInput{Name: &name, WithDecryption: aws.Bool(false)})
	if found, err := there(explainSetup(err, action, name)); err != nil || !found {
		return "", false, err
	}
	if out.Parameter.Type == types.ParameterTypeSecureString {
		return "", true, fmt.Errorf("%s %s: it is a SecureString: its name is meant for what everybody may read: delete it, or name another", action, name)
	}
	return aws.ToString(out.Parameter.Value), true, nil
}
