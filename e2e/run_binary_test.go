//go:build e2e

package e2e

import (
	"debug/elf"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"
)

// The binary runs on any Linux of its architecture, with nothing beside it.
func TestBinary(t *testing.T) {
	bin := mayflyBinary(t)
	info, err := os.Stat(bin)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() >= 30<<20 {
		t.Errorf("it has %.1f MiB, 30 are allowed", mib(info.Size()))
	}
	f, err := elf.Open(bin)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("it is not static: it has a segment %s", p.Type)
		}
	}
	if libs, _ := f.ImportedLibraries(); len(libs) > 0 {
		t.Errorf("it needs %v", libs)
	}
	for _, s := range f.Sections {
		if s.Type == elf.SHT_SYMTAB || s.Name == ".debug_info" || s.Name == ".zdebug_info" {
			t.Errorf("it is not stripped: it has %s", s.Name)
		}
	}
	var times []time.Duration
	for range 15 {
		cmd := exec.Command(bin, "version")
		cmd.Env = []string{}
		start := time.Now()
		if out, err := cmd.Output(); err != nil || len(out) == 0 {
			t.Fatalf("mayfly version: %v", err)
		}
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	t.Logf("%.1f MiB; starts, prints its version and ends in %s (median of %d; fastest %s)", mib(info.Size()), times[len(times)/2], len(times), times[0])
}
