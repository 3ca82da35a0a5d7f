package cloud

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
)

// Parameters are those of AWS Systems Manager.
type Parameters struct{ c *Cloud }

// Parameters returns a source for ssm: references.
func (c *Cloud) Parameters() Parameters { return Parameters{c} }

// Get returns the value of the parameter with that name or ARN, decrypted. Its errors
// never hold the value.
func (p Parameters) Get(ctx context.Context, name string) (string, error) {
	client, err := p.client(name)
	if err != nil {
		return "", fmt.Errorf("ssm:GetParameter %s: %w", name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	out, err := client.GetParameter(ctx, &ssm.GetParameterInput{Name: aws.String(name), WithDecryption: aws.Bool(true)})
	if err != nil {
		return "", Explain(err, "ssm:GetParameter", name)
	}
	if out.Parameter == nil || out.Parameter.Value == nil {
		return "", fmt.Errorf("ssm:GetParameter %s: the answer holds no value", name)
	}
	return *out.Parameter.Value, nil
}

// Secrets reads secrets of AWS Secrets Manager.
type Secrets struct{ c *Cloud }

// Secrets returns a source for secretsmanager: references.
func (c *Cloud) Secrets() Secrets { return Secrets{c} }

// Get returns the current text of the secret with that name or ARN. Its errors
// never hold the text.
func (s Secrets) Get(ctx context.Context, name string) (string, error) {
	endpoint := s.c.endpoint("SECRETS_MANAGER")
	region, err := s.c.region(arnRegion(name), endpoint)
	if err != nil {
		return "", fmt.Errorf("secretsmanager:GetSecretValue %s: %w", name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	out, err := secretsmanager.NewFromConfig(s.c.cfg, func(o *secretsmanager.Options) {
		o.Region = region
		o.BaseEndpoint = endpoint
	}).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String(name)})
	if err != nil {
		return "", Explain(err, "secretsmanager:GetSecretValue", name)
	}
	if out.SecretString == nil {
		return "", fmt.Errorf("secretsmanager:GetSecretValue %s: %w", name, errors.New("it is binary: store it as text"))
	}
	return *out.SecretString, nil
}
