package sshd

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"
)

// Add lets another host in, at any time before Shutdown.
func (s *Server) Add(spec Host) error {
	if spec.Root == "" {
		spec.Root = "/mnt/" + spec.Name
	}
	h := newHost(spec, s.config.Limits)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return errors.New("the server is ending")
	}
	if spec.Name == "" || s.hosts[spec.Name] != nil {
		return fmt.Errorf("host %q: a name must be there, once", spec.Name)
	}
	for _, k := range spec.Keys {
		if err := CheckKey(k); err != nil {
			return fmt.Errorf("host %s: %w", spec.Name, err)
		}
		if other := s.byKey[string(k.Marshal())]; other != nil {
			return fmt.Errorf("hosts %s and %s have the same key %s: give each its own", other.Name, spec.Name, ssh.FingerprintSHA256(k))
		}
	}
	s.hosts[spec.Name] = h
	for _, k := range spec.Keys {
		s.byKey[string(k.Marshal())] = h
	}
	return nil
}

// Remove stops a host as Stop does, and forgets it and its keys. After an
// error something may still have its directory open.
func (s *Server) Remove(ctx context.Context, name, why string) error {
	h := s.host(name)
	if h == nil {
		return nil
	}
	err := h.stop(ctx, why)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.hosts, name)
	for _, k := range h.Keys {
		delete(s.byKey, string(k.Marshal()))
	}
	return err
}

func (s *Server) host(name string) *host {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hosts[name]
}

func (s *Server) keyOf(k ssh.PublicKey) *host {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byKey[string(k.Marshal())]
}
