package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"mayfly/internal/cloud"
	"mayfly/internal/secret"
	"mayfly/runner"
)

// A hostKey is the key by which hosts know an SSH server.
type hostKey struct {
	ref   secret.Ref
	there bool          // the private half is in AWS
	shown string        // the public half as it is published; "": it is not
	key   ssh.PublicKey // nil: it is not known
}

// hostKeysOf are those of the config's jobs, each once.
func hostKeysOf(c *runner.Config) []hostKey {
	var list []hostKey
	for _, j := range c.Jobs {
		for _, ref := range j.Config.Needs().HostKeys {
			if !slices.ContainsFunc(list, func(k hostKey) bool { return k.ref == ref }) {
				list = append(list, hostKey{ref: ref})
			}
		}
	}
	return list
}

// made reports whether deploy makes a secret where there is none.
func (s *survey) made(ref secret.Ref) bool {
	return ref.Scheme == "ssm" && slices.ContainsFunc(s.hostKeys, func(k hostKey) bool { return k.ref == ref })
}

// lookHostKeys finds out which host keys there are, without reading what only
// the role is to read.
func (s *survey) lookHostKeys(ctx context.Context) error {
	for i := range s.hostKeys {
		k := &s.hostKeys[i]
		if k.ref.Scheme != "ssm" {
			s.lookElsewhere(ctx, k)
			continue
		}
		for _, n := range s.secrets {
			if n.ref != k.ref {
				continue
			}
			k.there = n.there
			if n.there && !n.from.IsZero() {
				s.problem("--secret %s: there is a host key, and it is never replaced: every host would refuse the new one; aws ssm delete-parameter --region %s --name %s first, when that is what you want", k.ref, s.region, k.ref.Name)
			}
		}
		value, err := s.aws.Parameters().Get(ctx, k.ref.Name+runner.PublicKeySuffix)
		if err != nil && !errors.Is(err, cloud.ErrNotFound) {
			return fmt.Errorf("look for the public half of the host key %s: %w", k.ref, err)
		}
		k.shown = value
		if k.there && err == nil {
			k.key, _, _, _, _ = ssh.ParseAuthorizedKey([]byte(value)) // else deploy repairs it
		}
	}
	return nil
}

// lookElsewhere looks at a host key that is kept where deploy makes none: one
// that is missing or useless would keep every run from receiving anything.
func (s *survey) lookElsewhere(ctx context.Context, k *hostKey) {
	const own = "put one there yourself, of ssh-keygen -t ed25519 -N ''"
	if k.ref.Scheme != "secretsmanager" {
		s.notes = append(s.notes, fmt.Sprintf("the host key %s is a file of the instances, at which nobody can look from here: their image has to bring it; %s", k.ref, own))
		return
	}
	value, err := s.aws.Secrets().Get(ctx, k.ref.Name)
	if errors.Is(err, cloud.ErrDenied) {
		s.notes = append(s.notes, fmt.Sprintf("the host key %s is one that you may not read, as it should be, and nobody has looked at it", k.ref))
		return
	}
	if err != nil {
		s.problem("the host key %s cannot be read: %v: %s", k.ref, err, own)
		return
	}
	private := secret.New(value)
	if err := s.world.redactor.Add(private); err != nil {
		s.problem("the host key %s: %v", k.ref, err)
		return
	}
	if k.key, err = publicHalf(private); err != nil {
		s.problem("the host key %s: %v", k.ref, err)
		return
	}
	k.there = true
}

// makesHostKeys reports whether deploy has a host key to make or to publish.
func (s *survey) makesHostKeys() bool {
	return slices.ContainsFunc(s.hostKeys, func(k hostKey) bool { return k.ref.Scheme == "ssm" && (!k.there || k.key == nil) })
}

// makeHostKeys makes the host keys that are missing, and sees to it that the
// public half of each is beside it. A key that is there is never replaced.
func (a *app) makeHostKeys(ctx context.Context, s *survey) error {
	for i := range s.hostKeys {
		if k := &s.hostKeys[i]; k.ref.Scheme == "ssm" {
			if err := a.makeHostKey(ctx, s, k); err != nil {
				return errors.New(s.world.redactor.Redact(err.Error()))
			}
		}
	}
	return nil
}

func (a *app) makeHostKey(ctx context.Context, s *survey, k *hostKey) error {
	parameters := s.aws.Parameters()
	if !k.there {
		private, public, err := newHostKey(string(s.config.Name))
		if err != nil {
			return err
		}
		if err := s.world.redactor.Add(private); err != nil {
			return err
		}
		// Who made one meanwhile, this deploy before it was cut off, say, was first.
		switch err := parameters.Put(ctx, k.ref.Name, private.Reveal(), false); {
		case err == nil:
			k.there, k.key = true, public
			a.say("Made the host key %s, which only the instances' role reads.", k.ref)
			return a.publishHostKey(ctx, s, k)
		case !errors.Is(err, cloud.ErrExists):
			return err
		}
	}
	value, err := parameters.Get(ctx, k.ref.Name)
	switch {
	case errors.Is(err, cloud.ErrDenied) && k.key != nil:
		a.say("Nobody has compared %s%s with the private key, which you may not read; that is as it should be.", k.ref.Name, runner.PublicKeySuffix)
		return nil
	case errors.Is(err, cloud.ErrDenied):
		return fmt.Errorf("the public half of the host key is not at %s%s, and cannot be made: %w", k.ref.Name, runner.PublicKeySuffix, err)
	case err != nil:
		return err
	}
	private := secret.New(value)
	if err := s.world.redactor.Add(private); err != nil {
		return err
	}
	if k.key, err = publicHalf(private); err != nil {
		return fmt.Errorf("host key %s: %w", k.ref, err)
	}
	return a.publishHostKey(ctx, s, k)
}

// publishHostKey puts the public half beside the private one, unless it is
// there.
func (a *app) publishHostKey(ctx context.Context, s *survey, k *hostKey) error {
	shown, _, _, _, err := ssh.ParseAuthorizedKey([]byte(k.shown))
	if err == nil && bytes.Equal(shown.Marshal(), k.key.Marshal()) {
		return nil
	}
	name := k.ref.Name + runner.PublicKeySuffix
	text := keyText(k.key) + " mayfly-" + string(s.config.Name)
	if err := s.aws.Parameters().PutPlain(ctx, name, text); err != nil {
		return err
	}
	if k.shown != "" {
		a.say("Put the public half of the host key at %s anew: what was there was another key's.", name)
	} else {
		a.say("Put the public half of the host key at %s.", name)
	}
	k.shown = text
	return nil
}

// newHostKey makes one, in OpenSSH's form without a passphrase.
func newHostKey(deployment string) (secret.Value, ssh.PublicKey, error) {
	private, public, err := newKeyPair("mayfly-" + deployment)
	return secret.New(string(private)), public, err
}

// publicHalf is that of a private key that can be a host key. No error holds
// any of it.
func publicHalf(private secret.Value) (ssh.PublicKey, error) {
	signer, err := ssh.ParsePrivateKey([]byte(private.Reveal() + "\n"))
	if err != nil || signer.PublicKey().Type() != ssh.KeyAlgoED25519 {
		return nil, errors.New("it is no ed25519 key in OpenSSH's form without a passphrase: make one with ssh-keygen -t ed25519 -N '', or delete it and call mayfly deploy, which makes one in Systems Manager")
	}
	return signer.PublicKey(), nil
}

// keyText is a public key as known_hosts has it behind the name.
func keyText(k ssh.PublicKey) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k)))
}
