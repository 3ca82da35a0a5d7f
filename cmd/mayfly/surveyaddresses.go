package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"mayfly/internal/cloud"
	"mayfly/runner"
)

// lookAddresses looks whether what the config says of how hosts find the
// instance is there.
func (s *survey) lookAddresses(ctx context.Context) error {
	for _, j := range s.config.Jobs {
		needs := j.Config.Needs()
		for _, id := range needs.ElasticIPs {
			if err := s.lookElasticIP(ctx, id); err != nil {
				return err
			}
		}
		for _, r := range needs.Records {
			if err := s.lookRecord(ctx, r); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *survey) lookElasticIP(ctx context.Context, id string) error {
	if _, twice := s.elastic[id]; twice {
		s.problem("address.elastic_ip: two jobs have %s: a second one needs an address of its own", id)
		return nil
	}
	found, err := s.aws.ec2.Address(ctx, id)
	if errors.Is(err, cloud.ErrNotFound) {
		s.problem("address.elastic_ip: account %s has no such address in %s: %w", s.caller.Account, s.region, err)
		return nil
	}
	if err != nil {
		return err
	}
	s.elastic[id] = found.IP.String()
	if found.Instance != "" && !slices.ContainsFunc(s.group.Instances, func(i cloud.GroupInstance) bool { return i.ID == found.Instance }) {
		s.notes = append(s.notes, fmt.Sprintf("address.elastic_ip: the instance %s has %s, and it is not taken away from it: no host finds a run before that is ended, or aws ec2 disassociate-address --region %s --public-ip %[2]s", found.Instance, s.elastic[id], s.region))
	}
	return nil
}

// lookRecord finds out whether a name can be set in its zone.
func (s *survey) lookRecord(ctx context.Context, r runner.Record) error {
	zones, err := s.aws.Zones()
	if err != nil {
		return err
	}
	zone, err := zones.Zone(ctx, r.Zone)
	if errors.Is(err, cloud.ErrNotFound) {
		s.problem("address.route53.zone: account %s has no such zone: %w", s.caller.Account, err)
		return nil
	}
	if err != nil {
		return err
	}
	if !zone.Holds(r.Name) {
		s.problem("address.route53.name: %s does not lie in the zone %s, which is %s: write a name that ends in .%[3]s, or the zone that it lies in", r.Name, r.Zone, zone.Name)
	}
	if zone.Private {
		s.notes = append(s.notes, fmt.Sprintf("address.route53: the zone %s (%s) is a private one: only hosts in its VPCs find %s", r.Zone, zone.Name, r.Name))
	}
	return nil
}
