package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"mayfly/internal/cloud"
	"mayfly/internal/store"
	"mayfly/jobs/receive"
	"mayfly/push"
	"mayfly/stack"
	"mayfly/stack/deploy"
)

// findTime is how long AWS may take to say where the receiver is.
const findTime = 30 * time.Second

// findReceiver asks where the receiver is, by the way that the config names.
func (a *app) findReceiver(c *push.Config) func(context.Context) (push.Place, error) {
	var aws *cloud.Cloud
	return func(ctx context.Context) (p push.Place, err error) {
		ctx, cancel := context.WithTimeout(ctx, findTime)
		defer cancel()
		if aws == nil {
			if aws, err = cloud.Load(ctx, cloud.Options{Region: string(c.Address.Region), Getenv: a.getenv}); err != nil {
				return p, fmt.Errorf("find the receiver: %w", err)
			}
		}
		text, err := whereabouts(ctx, aws, c.Address)
		if err != nil {
			return p, fmt.Errorf("find the receiver: %w", err)
		}
		if text == "" {
			return p, nil
		}
		var w receive.Whereabouts
		if err := json.Unmarshal([]byte(text), &w); err != nil {
			return p, fmt.Errorf("find the receiver: what is written down is no address of mayfly's: %w", err)
		}
		if w.State != "open" || w.Deployment != string(c.Deployment) || !w.Until.IsZero() && a.now().After(w.Until.Add(time.Hour)) {
			return p, nil
		}
		return push.Place{Host: w.Host, Port: w.Port}, nil
	}
}

// whereabouts is what is written down; "" where nothing is.
func whereabouts(ctx context.Context, aws *cloud.Cloud, from push.Address) (string, error) {
	if from.Parameter != "" {
		text, found, err := aws.Parameters().Plain(ctx, from.Parameter)
		if err != nil || !found {
			return "", err
		}
		return text, nil
	}
	r, err := openObject(ctx, from.Store+"/"+receive.AddressFile, func(string) (*cloud.Cloud, cloud.S3Options, error) {
		return aws, cloud.S3Options{Region: string(from.Region)}, nil
	})
	if errors.Is(err, store.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, 64<<10))
	return string(b), err
}

// startFor starts the deployment of a receiver, with the credentials of the host
// that pushes. One that runs already is left alone.
func (a *app) startFor(ctx context.Context, c *push.Config) error {
	ctx, cancel := context.WithTimeout(ctx, 4*findTime)
	defer cancel()
	name := string(c.Deployment)
	aws, err := cloud.Load(ctx, cloud.Options{Region: string(c.Start.Region), Getenv: a.getenv})
	if err != nil {
		return err
	}
	groups, err := aws.Groups()
	if err != nil {
		return err
	}
	g, err := groups.Describe(ctx, name)
	if err != nil {
		return err
	}
	if g.Desired > 0 || len(g.Instances) > 0 {
		a.say("%s runs already.", name)
		return nil
	}
	stacks, err := aws.Stacks()
	if err != nil {
		return err
	}
	s, err := deploy.Mine(ctx, stacks, name)
	if err != nil {
		return err
	}
	if s == nil {
		return fmt.Errorf("there is no deployment %s in %s", name, aws.Region())
	}
	deadline, err := time.ParseDuration(s.Outputs[stack.OutputDeadline])
	if err != nil || deadline <= 0 {
		return fmt.Errorf("the deployment %s does not say how long a run has: mayfly deploy", name)
	}
	e := deploy.Engine{Groups: groups, Region: aws.Region()}
	if err := e.Start(ctx, name, a.now().Add(deadline+stack.EndMargin)); err != nil {
		return err
	}
	a.say("Asked %s for an instance.", name)
	return nil
}
