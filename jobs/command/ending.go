package command

import (
	"fmt"
	"os"
)

// ended says how the program ended, "" when it did well.
func ended(ps *os.ProcessState, oom bool, memory Size) string {
	tail := ""
	if oom {
		tail = " (out of memory)"
		if memory > 0 {
			tail = fmt.Sprintf(" (out of memory: it may use %s)", memory)
		}
	}
	if sig := signalOf(ps.Sys()); sig != "" {
		return "killed by signal " + sig + tail
	}
	switch code := ps.ExitCode(); {
	case code == 0:
		return ""
	case oom:
		return fmt.Sprintf("exit status %d after one of its processes was killed%s", code, tail)
	default:
		return fmt.Sprintf("exit status %d", code)
	}
}

// advice says what to do about a bad end of a program that has printed
// something, or nothing.
func advice(ps *os.ProcessState, oom, silent bool) string {
	switch code := ps.ExitCode(); {
	case oom:
		return "give it more with memory, choose an instance type with more, or let it do less at once"
	case code == 126:
		return "126 often means that a program could not be executed"
	case code == 127:
		return "127 often means that a program was not found: add its package to packages"
	case code > 128 && code < 160:
		return fmt.Sprintf("%d often means that signal %d ended one of its programs", code, code-128)
	case silent:
		return "it printed nothing: let it say what it does, in a shell's script with set -x"
	default:
		return "see what it said, below and in the log"
	}
}
