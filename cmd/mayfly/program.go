package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// A program is a mayfly for Linux on one architecture.
type program struct {
	arch string // "amd64", "arm64"
	file string
	sum  string // SHA-256 in hex
}

// machines are what an ELF header calls the architectures (e_machine).
var machines = map[uint16]string{0x3e: "amd64", 0xb7: "arm64"}

// findPrograms finds mayfly-linux-ARCH in dir. With dir "" it is what make
// dist leaves in dist, or what lies beside this program, as in a release, or
// else this very program.
func findPrograms(dir string) ([]program, error) {
	places := []string{dir}
	if dir == "" {
		places = []string{"dist"}
		if self, err := os.Executable(); err == nil {
			places = append(places, filepath.Dir(self))
		}
	}
	for _, p := range places {
		found, err := programsIn(p)
		if err != nil || len(found) > 0 {
			return found, err
		}
	}
	if dir != "" {
		return nil, fmt.Errorf("find mayfly for the instance: %s holds neither mayfly-linux-amd64 nor mayfly-linux-arm64: name the directory that make dist fills with --binaries", dir)
	}
	if runtime.GOOS != "linux" {
		return nil, fmt.Errorf("find mayfly for the instance: this one is for %s: make dist, or name a directory with mayfly-linux-amd64 or mayfly-linux-arm64 with --binaries", runtime.GOOS)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find mayfly for the instance: %w: name a directory with --binaries", err)
	}
	p, err := readProgram(self)
	if err != nil {
		return nil, err
	}
	return []program{p}, nil
}

func programsIn(dir string) ([]program, error) {
	var found []program
	for _, arch := range []string{"amd64", "arm64"} {
		p, err := readProgram(filepath.Join(dir, "mayfly-linux-"+arch))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if p.arch != arch {
			return nil, fmt.Errorf("find mayfly for the instance: %s is a program for %s: make dist again", p.file, p.arch)
		}
		found = append(found, p)
	}
	return found, nil
}

// readProgram looks at the header, so that no instance is started for a
// program that it cannot run, and sums up the file.
func readProgram(file string) (program, error) {
	f, err := os.Open(file)
	if err != nil {
		return program{}, fmt.Errorf("find mayfly for the instance: %w", err)
	}
	defer f.Close()
	head := make([]byte, 20)
	if _, err := io.ReadFull(f, head); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return program{}, fmt.Errorf("find mayfly for the instance: %w", err)
	}
	p := program{file: file}
	if string(head[:4]) == "\x7fELF" {
		p.arch = machines[binary.LittleEndian.Uint16(head[18:])]
	}
	if p.arch == "" {
		return program{}, fmt.Errorf("find mayfly for the instance: %s is no Linux program for amd64 or arm64: name a directory with such with --binaries", file)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return program{}, fmt.Errorf("find mayfly for the instance: %w", err)
	}
	if p.sum, err = sumAll(f); err != nil {
		return program{}, fmt.Errorf("find mayfly for the instance: read %s: %w", file, err)
	}
	return p, nil
}
