//go:build !linux

package volume

import (
	"context"
	"errors"
)

var errLinux = errors.New("volumes are attached to Linux machines only")

// Find fails: only Linux has it, as all that follows.
func (s System) Find(context.Context, string, string) (Device, error) { return Device{}, errLinux }

// Inspect fails.
func (s System) Inspect(context.Context, Device, Record) (Finding, error) {
	return Finding{}, errLinux
}

// Format fails.
func (s System) Format(context.Context, Plan, Device) (Finding, error) { return Finding{}, errLinux }

// Open fails.
func (s System) Open(context.Context, Plan) (*Mounted, error) { return nil, errLinux }

// Close fails.
func (s System) Close(context.Context, *Mounted) error { return errLinux }

// Check fails.
func (s System) Check(context.Context, Device, Finding) (bool, error) { return false, errLinux }

// Mount fails.
func (s System) Mount(context.Context, Device, Finding, string) error { return errLinux }

// Grow fails.
func (s System) Grow(context.Context, Device, Finding, string) (int64, string, error) {
	return 0, "", errLinux
}

// UsageOf fails.
func UsageOf(string) (Usage, error) { return Usage{}, errLinux }

// OpenCopy fails.
func (s System) OpenCopy(context.Context, Copy) (*Mounted, error) { return nil, errLinux }

// OpenReadOnly fails.
func (s System) OpenReadOnly(context.Context, *Mounted) (*Mounted, error) { return nil, errLinux }

// CloseCopy fails.
func (s System) CloseCopy(context.Context, *Mounted) error { return errLinux }

// CloseReadOnly fails.
func (s System) CloseReadOnly(context.Context, *Mounted) error { return errLinux }

// DropCopy fails.
func (s System) DropCopy(context.Context, string, string) error { return errLinux }

// Still fails.
func (s System) Still(*Mounted) error { return errLinux }
