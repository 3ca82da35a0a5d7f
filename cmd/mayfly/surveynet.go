package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"mayfly/internal/cloud"
	"mayfly/runner"
	"mayfly/stack"
)

// lookTypes finds out which instance types there are in the region, and which
// of them there is a mayfly for.
func (s *survey) lookTypes(ctx context.Context) error {
	named := s.config.Instance.Types
	var err error
	if len(named) > 0 {
		s.types, err = s.aws.ec2.InstanceTypes(ctx, named)
	} else {
		s.types, err = s.offered(ctx, runner.DefaultTypes())
	}
	if errors.Is(err, cloud.ErrNotFound) {
		s.problem("instance.types: %w", err)
		return nil
	}
	if err != nil {
		return err
	}
	have := map[string]bool{}
	for _, p := range s.programs {
		have[p.arch] = true
	}
	var kept []cloud.InstanceType
	var without []string
	for _, t := range s.types {
		arch := archOf(t, have)
		switch {
		case arch != "" && !t.Spot && s.config.Instance.OnDemand != runner.OnDemandAlways && len(named) == 0:
			s.notes = append(s.notes, t.Name+" left out: it cannot be bought on the spot market in "+s.region)
		case arch != "" && !t.Spot && s.config.Instance.OnDemand != runner.OnDemandAlways:
			s.problem("instance.types: %s cannot be bought on the spot market: name others, or on_demand: always", t.Name)
		case arch != "":
			kept = append(kept, t)
			s.options.Instance.Types = append(s.options.Instance.Types, stack.Type{Name: t.Name, Arch: stackArch(arch)})
		case len(named) > 0 && len(t.Architectures) == 0:
			s.problem("instance.types: %s is for an architecture that mayfly is not made for: name another", t.Name)
		case len(named) == 0:
			without = append(without, t.Name)
		case len(named) > 0:
			s.problem("instance.types: %s is for %s, and there is no mayfly for it: make dist, and name its directory with --binaries", t.Name, strings.Join(t.Architectures, " or "))
		}
	}
	s.types = kept
	if len(without) > 0 {
		s.notes = append(s.notes, strings.Join(without, ", ")+" left out: there is no mayfly for their architecture here; make dist, or --binaries DIR")
	}
	if len(kept) == 0 && len(named) == 0 {
		s.problem("instance.types: none of %s is offered in %s: name some in the config", strings.Join(runner.DefaultTypes(), ", "), s.region)
	}
	s.onlyNeededPrograms()
	return nil
}

// offered are those of the types that the region has.
func (s *survey) offered(ctx context.Context, names []string) ([]cloud.InstanceType, error) {
	list, err := s.aws.ec2.InstanceTypes(ctx, names)
	if !errors.Is(err, cloud.ErrNotFound) {
		return list, err
	}
	for _, n := range names {
		one, err := s.aws.ec2.InstanceTypes(ctx, []string{n})
		switch {
		case errors.Is(err, cloud.ErrNotFound):
		case err != nil:
			return nil, err
		default:
			list = append(list, one...)
		}
	}
	return list, nil
}

// archOf is the architecture of a type for which there is a mayfly.
func archOf(t cloud.InstanceType, have map[string]bool) string {
	for _, arch := range t.Architectures {
		if have[arch] {
			return arch
		}
	}
	return ""
}

// stackArch is what EC2 calls what Go calls amd64 or arm64.
func stackArch(arch string) string {
	if arch == "amd64" {
		return "x86_64"
	}
	return arch
}

// onlyNeededPrograms drops those for architectures of no type: they would be
// uploaded for nothing, and each is part of the user data.
func (s *survey) onlyNeededPrograms() {
	s.programs = slices.DeleteFunc(s.programs, func(p program) bool {
		return !slices.ContainsFunc(s.options.Instance.Types, func(t stack.Type) bool { return t.Arch == stackArch(p.arch) })
	})
}

// lookNetwork finds the subnets that instances can be in: those of zones that
// offer one of the types.
func (s *survey) lookNetwork(ctx context.Context) error {
	var found cloud.Network
	var err error
	n := &s.options.Network
	if named := s.config.Network.Subnets; len(named) > 0 {
		var ids []string
		for _, id := range named {
			ids = append(ids, string(id))
		}
		found, err = s.aws.ec2.Subnets(ctx, ids)
		n.PublicAddress = s.config.Network.PublicIP
	} else {
		found, err = s.aws.ec2.DefaultNetwork(ctx)
		n.PublicAddress = true // the only way out that default subnets have
	}
	if errors.Is(err, cloud.ErrNotFound) || err != nil && len(s.config.Network.Subnets) > 0 {
		s.problem("network: %w", err)
		return nil
	}
	if err != nil {
		return err
	}
	n.VPC, s.network = found.VPC, found
	var without []string
	for _, sub := range found.Subnets {
		if !slices.ContainsFunc(s.types, func(t cloud.InstanceType) bool { return slices.Contains(t.Zones, sub.Zone) }) {
			without = append(without, sub.Zone)
			continue
		}
		n.Subnets = append(n.Subnets, stack.Subnet{ID: sub.ID, Zone: sub.Zone})
		s.publicAddress = s.publicAddress || n.PublicAddress || sub.PublicIP
	}
	if len(n.Subnets) == 0 && len(s.types) > 0 {
		s.problem("network: no instance type of the config is offered in %s, where the subnets are: name other types, or other subnets", strings.Join(without, ", "))
	}
	return nil
}

// lookSecrets finds out which secrets are in AWS already.
func (s *survey) lookSecrets(ctx context.Context) error {
	for i := range s.secrets {
		n := &s.secrets[i]
		if n.ref.Scheme != "ssm" {
			continue
		}
		there, err := s.aws.Parameters().Exists(ctx, n.ref.Name)
		if errors.Is(err, cloud.ErrDenied) && s.made(n.ref) { // a host key's private half is nobody's to read
			there, err = s.aws.Parameters().Exists(ctx, n.ref.Name+runner.PublicKeySuffix)
		}
		if err != nil {
			return fmt.Errorf("look for the secret %s: %w", n.ref, err)
		}
		n.there = there
	}
	return s.lookHostKeys(ctx)
}
