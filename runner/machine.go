package runner

import (
	"context"
	"net/netip"
	"time"
)

// Volumes are the EBS volumes and snapshots of a deployment, as an instance of
// it may use them. Each call is bounded by its context, and its errors say what
// to do.
type Volumes interface {
	// Self asks metadata who this instance is. Elsewhere it is an error.
	Self(ctx context.Context) (Self, error)
	// List lists the deployment's volumes, by their tag.
	List(ctx context.Context) ([]Volume, error)
	// Attach attaches one to this instance and waits until it is; one that
	// another instance has is not taken from it.
	Attach(ctx context.Context, id string, self Self) (Volume, error)
	// Detach detaches it and waits until it is, and never forces.
	Detach(ctx context.Context, id string, self Self) error
	// Mark puts a tag on a volume.
	Mark(ctx context.Context, id, tag, value string) error
	// Snapshots lists the deployment's snapshots, by their tag.
	Snapshots(ctx context.Context) ([]Snapshot, error)
	// Snapshot begins one of a volume, with the deployment's tag and these. It
	// completes by itself.
	Snapshot(ctx context.Context, volume, description string, tags map[string]string) (Snapshot, error)
	// DeleteSnapshot deletes one; one that is gone is fine.
	DeleteSnapshot(ctx context.Context, id string) error
	// Copy makes a temporary volume of a snapshot in this instance's zone, with
	// the deployment's tag and these, and waits until it can be attached. It is
	// no host's. After an error there may be one, which List finds by its tags.
	Copy(ctx context.Context, snapshot string, self Self, tags map[string]string) (Volume, error)
	// Delete deletes a temporary volume that no instance has; one that is gone
	// is fine.
	Delete(ctx context.Context, id string) error
}

// A Self is what an instance knows of itself.
type Self struct {
	ID, Zone string
	// Addresses are those by which it can be reached: of IPv4 the public one,
	// or where there is none the private one, and those of IPv6.
	Addresses []netip.Addr
}

// A Volume is an EBS volume. State is EC2's: "available", "in-use".
type Volume struct {
	ID, Zone, State string
	// Instance has it, as Device; "": none does. Attachment is EC2's word:
	// "attached".
	Instance, Device, Attachment string
	From                         string // the snapshot that it was made from; "": it began blank
	GiB                          int
	Tags                         map[string]string
	Asked                        time.Time // when EC2 was asked
}

// A Snapshot is one of a volume. State is EC2's: "pending", "completed",
// "error".
type Snapshot struct {
	ID, Volume, State string
	Began             time.Time
	Tags              map[string]string
}

// Addresses are the ways by which hosts find this instance.
type Addresses interface {
	// Associate gives this instance an Elastic IP, which it takes from no
	// other, and returns the address. Dissociate takes it back; one that the
	// instance does not have is fine.
	Associate(ctx context.Context, allocation string, self Self) (netip.Addr, error)
	Dissociate(ctx context.Context, allocation string, self Self) error
	// SetRecord points a DNS name at addresses, A and AAAA, and removes the
	// type of which there are none. No addresses: the name is gone.
	SetRecord(ctx context.Context, r Record, ttl time.Duration, list []netip.Addr) error
	// PutParameter writes an ordinary parameter of Systems Manager.
	PutParameter(ctx context.Context, name, value string) error
}
