// Package runner runs the jobs of one deployment: it holds the deadline, turns
// panics and interruptions into verdicts, keeps the log and the report, and
// finishes, whatever happened before.
package runner

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"time"

	"mayfly/iam"
	"mayfly/internal/secret"
	"mayfly/internal/store"
)

// A JobConfig is one kind's strictly decoded options.
type JobConfig interface {
	// Validate returns all mistakes at once. In these Problems, Item is the
	// path of the key inside the kind's mapping ("owners[1]"), Reason what is
	// wrong and Fix what would be right.
	Validate() []Problem
	// Needs says what the deployment must grant or install.
	Needs() Needs
	// New builds the job. It does no I/O: what can only be found out by
	// asking a service is found out in Run.
	New(Env) (Job, error)
}

// Needs is what a job wants from its deployment.
type Needs struct {
	Permissions []iam.Statement
	Packages    []string
	Ingress     []Ingress
	Zones       []string
	// Secrets are resolved before any job starts; one that cannot be read is
	// a configuration error.
	Secrets []secret.Ref
	// Volumes are those of hosts. All volumes of a deployment are in one zone,
	// and so are its instances then.
	Volumes []VolumeNeed
	// HostKeys are, among Secrets, the private keys of SSH servers, in
	// OpenSSH's form. Who deploys makes those that are missing, and puts the
	// public key beside each under its name and PublicKeySuffix.
	HostKeys []secret.Ref
	// ElasticIPs are the allocations of addresses, and Records the DNS names,
	// by which the instance is found.
	ElasticIPs []string
	Records    []Record
	// Parameters are the ordinary ones of Systems Manager that runs write, and
	// that stay.
	Parameters []string
	// Found says in words how the outside finds the instance otherwise.
	Found []string
}

// PublicKeySuffix follows the name of a HostKey where its public half is kept.
const PublicKeySuffix = ".pub"

// Ingress is one TCP port the outside may reach, and from where (CIDR). A
// machine that has one runs no SSH server of its own.
type Ingress struct {
	Port int
	From []string
}

// A VolumeNeed is the volume of a host: the one with that ID, which belongs to
// the deployment and the host by its tags, or else one of GiB that who deploys
// creates where there is none.
type VolumeNeed struct {
	Host string
	ID   string // "": created by size
	GiB  int    // 0: it has an ID
	Type string // of what is created: "gp3"
}

// A Record is a name in a Route 53 hosted zone.
type Record struct{ Zone, Name string }

// A Member is a JobConfig that depends on its deployment. Join is called once,
// before Validate; deadline is 0 where there is none.
type Member interface {
	Join(deployment string, deadline time.Duration)
}

// Env is what a job may use of the world. The runner fills one per job.
type Env struct {
	Job    string      // the job's name in the config
	Prefix string      // where the job writes in the store: "github", no slashes around it
	RunID  string      // "20261120T170412Z-i-0abc"
	Start  time.Time   // when the run began, UTC
	Store  store.Store // where objects go
	// Endpoint is the store's own, for advice with other tools; "" for AWS and
	// directories. StoreRegion is what the config says of its region; "" without an
	// endpoint, for AWS's buckets say their region themselves.
	Endpoint, StoreRegion string
	// Secret returns the value of one of the job's Needs().Secrets.
	Secret func(secret.Ref) (secret.Value, error)
	// Redact takes every known secret out of a text, in every encoding.
	Redact func(string) string
	// Hide makes a secret that the job itself came by known to Redact and to
	// everything that is written. Call it before the secret's first use.
	Hide func(secret.Value)
	// HTTP is the transport for everything that is not AWS.
	HTTP http.RoundTripper
	// Object reads one object of any bucket, s3://BUCKET/KEY, with the
	// deployment's own credentials. Its errors say what to do.
	Object func(ctx context.Context, url string) (io.ReadCloser, error)
	// Instance says that this machine is an instance which ends after the run,
	// and whose role's credentials its metadata gives to whoever asks.
	Instance bool
	// Region is AWS's of this run; "" where none is known.
	Region string
	// Deployment is its name.
	Deployment string
	// Volumes and Addresses are the deployment's at AWS.
	Volumes   Volumes
	Addresses Addresses
	// Getenv reads the environment (endpoint overrides for tests and demo).
	Getenv func(string) string
	// Version is mayfly's own, for manifests.
	Version string
}

// A Job does one unit of work. Run returns within 20 s of ctx's end, or as soon
// as its Task says, and never leaves a partial object under its final name.
type Job interface {
	Run(ctx context.Context, rec *Recorder) error
}

// Outcome is how one item ended.
type Outcome string

// The outcomes. Done means that the work was done; Changed, Unchanged and Empty
// mean: a good, current backup exists. Skipped means the config excluded it.
const (
	Done        Outcome = "done"
	Changed     Outcome = "changed"
	Unchanged   Outcome = "unchanged"
	Empty       Outcome = "empty"
	Skipped     Outcome = "skipped"
	Partial     Outcome = "partial"
	Failed      Outcome = "failed"
	Interrupted Outcome = "interrupted"
)

// Good reports whether the item's backup is whole and current, or its work done.
func (o Outcome) Good() bool { return o == Done || o == Changed || o == Unchanged || o == Empty }

// Verdict is how a job, or a run, ended.
type Verdict string

// The verdicts, best first.
const (
	VerdictComplete    Verdict = "complete"
	VerdictPartial     Verdict = "partial"
	VerdictInterrupted Verdict = "interrupted"
	VerdictFailed      Verdict = "failed"
)

// A Problem says what went wrong with what, why, and what to do about it.
// All of it is plain text without secrets.
type Problem struct {
	Job    string `json:"job,omitempty"`
	Item   string `json:"item,omitempty"`
	Doing  string `json:"doing,omitempty"` // "fetch", "list repositories"
	Reason string `json:"reason"`
	Fix    string `json:"fix,omitempty"`
	// Output is the end of what a program printed that failed, a few kilobytes.
	Output string `json:"output,omitempty"`
}

// Error makes a Problem usable as an error: "fetch acme/site: reason: fix".
func (p *Problem) Error() string { return p.String() }

func (p Problem) String() string {
	s := p.Reason
	switch {
	case p.Doing != "" && p.Item != "":
		s = p.Doing + " " + p.Item + ": " + s
	case p.Doing != "":
		s = p.Doing + ": " + s
	case p.Item != "":
		s = p.Item + ": " + s
	}
	if p.Fix != "" {
		s += ": " + p.Fix
	}
	return s
}

// LogValue keeps a Problem one readable line in the log.
func (p Problem) LogValue() slog.Value { return slog.StringValue(p.String()) }
