// Package jail runs a program, or this one, where it sees one directory and
// nothing else of the machine: in namespaces of its own (mounts, processes,
// network, IPC, host name, control groups), below a root that holds the
// system's programs read-only and the directory as /data, with four
// capabilities, without new privileges, behind a seccomp filter and, where the
// kernel has it, Landlock. It needs root, and Linux 5.12 or later.
//
// This program is started again as a helper, which builds the jail around
// itself and then executes itself once more, inside, as the first process of
// the jail: main must call IsHelper first, and then Helper.
package jail

import (
	"os"
	"time"
)

// Dir is where the directory is inside.
const Dir = "/data"

// Scratch is where files grow inside a jail with AppendOnly: on the same file
// system, below the directory, and gone when the jail is.
const Scratch = Dir + "/" + scratchName

const scratchName = ".mayfly-incoming"

// A Spec is one jail, and what runs in it.
type Spec struct {
	// Dir is the directory on the machine that becomes /data. It must exist.
	Dir string
	// ReadOnly mounts it so.
	ReadOnly bool
	// AppendOnly lets nothing below /data be overwritten, renamed or removed,
	// by the kernel's own doing (Landlock), except below Scratch. Without
	// Landlock in version 2 Start refuses it: see CanAppendOnly.
	AppendOnly bool

	// Argv is the program, by its path inside, and its arguments. It starts in
	// /data. Without any, serve of Helper runs in the jail's first process.
	Argv []string
	// Args are more arguments, at the end, in the form of path.Match where
	// Pattern is set: each stands for what it matches in /data, or for Name.
	Args []Arg
	// Task is handed to serve.
	Task []byte

	// Stdin, Stdout and Stderr are the program's own. The caller closes its
	// ends after Start.
	Stdin, Stdout, Stderr *os.File

	// Helper is the program that builds the jail; "" is this one.
	Helper string
	// Processes is how many there may be at once; 0 is 32.
	Processes int
	// Setup is how long the jail may take to be built; 0 is 20 s.
	Setup time.Duration
}

// An Arg is an argument that may be a pattern.
type Arg struct{ Name, Pattern string }

// A SetupError says that there was no jail, and nothing has run.
type SetupError struct{ Reason string }

func (e *SetupError) Error() string { return "build the jail: " + e.Reason }
