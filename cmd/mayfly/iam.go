package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/spf13/cobra"

	"mayfly/iam"
	"mayfly/runner"
)

// An iamOptions is what mayfly iam is asked for.
type iamOptions struct {
	policy, trust bool
	account       string
}

func newIAMCmd(a *app) *cobra.Command {
	var o iamOptions
	c := &cobra.Command{
		Use:   "iam",
		Short: "Print the policies of the instance's role, computed from the config",
		Long: `Iam prints what the role of the deployment's instances may do, and the trust
policy that lets EC2 instances take the role. Every statement is there for a
need of the config; its Sid says which. Where the account is not given it is
asked for with the AWS credentials in use; without any, the policy names every
account's resources of these names, and iam says so.

With --policy or --trust only that document is printed, as JSON.

Exit codes: 0 printed, 2 bad usage or config.`,
		Example: `  mayfly iam
  mayfly iam --policy > policy.json; mayfly iam --trust > trust.json
  aws iam create-role --role-name onlinebackup --assume-role-policy-document file://trust.json
  aws iam put-role-policy --role-name onlinebackup --policy-name mayfly --policy-document file://policy.json
  aws iam create-instance-profile --instance-profile-name onlinebackup
  aws iam add-role-to-instance-profile --instance-profile-name onlinebackup --role-name onlinebackup`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return usageError(err)
			}
			c, err := a.loadConfig(cmd.Context())
			if err != nil {
				return err
			}
			return a.iam(cmd.Context(), c, o)
		},
	}
	f := c.Flags()
	f.BoolVar(&o.policy, "policy", false, "print the role's policy only")
	f.BoolVar(&o.trust, "trust", false, "print the trust policy only")
	f.StringVar(&o.account, "account", "", "the AWS account's `NUMBER`")
	return c
}

var accountForm = regexp.MustCompile(`^[0-9]{12}$`)

func (o iamOptions) check() error {
	switch {
	case o.policy && o.trust:
		return errors.New("iam: --policy and --trust are two documents: give neither for both, or call twice")
	case o.account != "" && !accountForm.MatchString(o.account):
		return fmt.Errorf("iam: account %q: write its 12 digits", o.account)
	}
	return nil
}

// iam prints the documents.
func (a *app) iam(ctx context.Context, c *runner.Config, o iamOptions) error {
	at, notes := a.place(ctx, c, o)
	policy, err := permissions(c, at).JSON()
	if err != nil {
		return usageError(err)
	}
	trust := iam.Trust(at.Partition)
	switch {
	case o.policy:
		fmt.Fprintf(a.stdout, "%s", policy)
	case o.trust:
		fmt.Fprintf(a.stdout, "%s", trust)
	default:
		fmt.Fprintf(a.stdout, "Policy of the role (mayfly iam --policy):\n\n%s\nTrust policy of the role (mayfly iam --trust):\n\n%s", policy, trust)
	}
	if !o.trust {
		for _, n := range notes {
			fmt.Fprintf(a.stderr, "Note: %s.\n", n)
		}
	}
	return nil
}

// askTime bounds the question which account this is.
const askTime = 10 * time.Second

// place says where the deployment is, and what of that is not known.
func (a *app) place(ctx context.Context, c *runner.Config, o iamOptions) (at iam.Place, notes []string) {
	at = iam.Place{Region: string(c.Region), Account: o.account}
	w := newWorld(c, a.getenv)
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	if at.Region == "" {
		at.Region = cmp.Or(a.getenv("AWS_REGION"), a.getenv("AWS_DEFAULT_REGION"))
	}
	at.Partition = iam.Partition(at.Region)
	if at.Account == "" {
		aws, err := w.cloud(ctx)
		if err == nil {
			at.Account, at.Partition, err = aws.Account(ctx)
		}
		if err != nil {
			at.Account, at.Partition = "", iam.Partition(at.Region)
			notes = append(notes, "the account is not known, so the policy has * in its place: give --account ("+w.redactor.Redact(err.Error())+")")
		}
	}
	if at.Region == "" {
		notes = append(notes, "the region is not known, so the policy has * in its place: set region in the config")
	}
	if c.Store.IsS3() && c.Store.Endpoint != "" {
		notes = append(notes, "the store is not AWS's ("+c.Store.Endpoint+"): grant access to it there")
	}
	if !c.Store.IsS3() {
		notes = append(notes, "the store is a directory: an instance's is gone with the instance")
	}
	return at, notes
}
