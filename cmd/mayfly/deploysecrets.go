package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"

	"mayfly/internal/cloud"
	"mayfly/internal/secret"
	"mayfly/runner"
)

// A neededSecret is one that a job reads, and where its value may be had from.
type neededSecret struct {
	ref   secret.Ref
	from  secret.Ref // "" where none was given
	there bool       // in AWS already
}

// neededSecrets are those of the config, with where their values are given: NAME=REFERENCE, NAME being as in the config.
func (a *app) neededSecrets(c *runner.Config, given []string) ([]neededSecret, error) {
	var list []neededSecret
	for _, ref := range c.Secrets() {
		list = append(list, neededSecret{ref: ref})
	}
	for _, g := range given {
		name, from, ok := strings.Cut(g, "=")
		if !ok {
			return nil, errors.New("--secret: write it like ssm:/NAME=env:VARIABLE or ssm:/NAME=file:PATH, never the secret itself")
		}
		ref, err := secret.ParseRef(name)
		if err != nil {
			return nil, fmt.Errorf("--secret: %w", err)
		}
		i := slices.IndexFunc(list, func(n neededSecret) bool { return n.ref == ref })
		source, err := secret.ParseRef(from)
		switch {
		case i < 0:
			return nil, fmt.Errorf("--secret: the config does not name %s: write it as it stands there", ref)
		case ref.Scheme != "ssm":
			return nil, fmt.Errorf("--secret: %s is not kept in Systems Manager: put it there yourself, or write ssm:/%s/NAME in the config", ref, c.Name)
		case err != nil:
			return nil, fmt.Errorf("--secret %s: %w", ref, err)
		case source.Scheme != "env" && source.Scheme != "file":
			return nil, fmt.Errorf("--secret %s: the value can be had from env:VARIABLE or file:PATH", ref)
		}
		list[i].from = source
	}
	return list, nil
}

// A newSecret is one that is about to be put into AWS.
type newSecret struct {
	name  string
	value secret.Value
	// replace says that the one there gives way.
	replace bool
}

// readSecrets gets the values of those that are given, and asks on the terminal
// for those that are neither given nor in AWS. Nothing is sent.
func (a *app) readSecrets(ctx context.Context, s *survey) ([]newSecret, error) {
	var list []newSecret
	var missing []error
	sources := map[string]secret.Source{"env": secret.Env(a.getenv), "file": secret.Files{}}
	for _, n := range s.secrets {
		if n.ref.Scheme != "ssm" || (n.there || s.made(n.ref)) && n.from.IsZero() {
			continue // made: nobody has to think of a host key
		}
		if n.from.IsZero() {
			v, err := a.askSecret(ctx, n.ref)
			if err != nil {
				missing = append(missing, err)
				continue
			}
			if err := s.world.redactor.Add(v); err != nil {
				missing = append(missing, fmt.Errorf("%s: %w", n.ref, err))
				continue
			}
			list = append(list, newSecret{n.ref.Name, v, false})
			continue
		}
		values, err := secret.NewResolver(sources, s.world.redactor).Resolve(ctx, []secret.Ref{n.from})
		if err != nil {
			missing = append(missing, err)
			continue
		}
		if s.made(n.ref) {
			if _, err := publicHalf(values[n.from]); err != nil {
				missing = append(missing, fmt.Errorf("--secret %s: %w", n.ref, err))
				continue
			}
		}
		list = append(list, newSecret{n.ref.Name, values[n.from], !s.made(n.ref)})
	}
	if len(missing) > 0 {
		return nil, usageError(fmt.Errorf("secrets are missing, and nothing was deployed:\n%w", indented(missing)))
	}
	return list, nil
}

// askSecret asks on the terminal, without showing what is typed.
func (a *app) askSecret(ctx context.Context, ref secret.Ref) (secret.Value, error) {
	in, ok := a.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return secret.Value{}, fmt.Errorf("%s is not in Systems Manager: give it with --secret %s=env:VARIABLE, or =file:PATH", ref, ref)
	}
	fmt.Fprintf(a.stderr, "The value of %s (not shown): ", ref)
	state, stateErr := term.GetState(int(in.Fd()))
	b, err := untilInterrupt(ctx, func() ([]byte, error) { return term.ReadPassword(int(in.Fd())) })
	fmt.Fprintln(a.stderr)
	if ctx.Err() != nil && stateErr == nil {
		_ = term.Restore(int(in.Fd()), state) // it shows what is typed again
	}
	if err != nil {
		return secret.Value{}, fmt.Errorf("%s: read it from the terminal: %w", ref, err)
	}
	plain := strings.TrimSpace(string(b))
	if plain == "" {
		return secret.Value{}, fmt.Errorf("%s: nothing was typed", ref)
	}
	return secret.New(plain), nil
}

// putSecrets keeps them in AWS.
func (a *app) putSecrets(ctx context.Context, s *survey, list []newSecret) error {
	for _, n := range list {
		err := s.aws.Parameters().Put(ctx, n.name, n.value.Reveal(), n.replace)
		if errors.Is(err, cloud.ErrExists) { // since the survey
			continue
		}
		if err != nil {
			return errors.New(s.world.redactor.Redact(err.Error()))
		}
		a.say("Put the secret ssm:%s into Systems Manager, encrypted.", n.name)
	}
	return nil
}

// say tells a person what is being done; not with --quiet.
func (a *app) say(format string, args ...any) {
	if !a.quiet {
		fmt.Fprintf(a.stderr, format+"\n", args...)
	}
}
