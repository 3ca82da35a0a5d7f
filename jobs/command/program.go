package command

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// maxScript is the largest script or program that is fetched.
const maxScript = 256 << 20

// command is the argument vector, argv[0] the file to execute.
func (j *job) command(ctx context.Context, w *workplace, a account, env []string) ([]string, error) {
	c := j.config
	if len(c.Argv) > 0 {
		prog, err := find(c.Argv[0], w.dir, variable(env, "PATH"))
		return append([]string{prog}, c.Argv[1:]...), err
	}
	file := filepath.Join(w.base, "script")
	var head []byte
	var err error
	if c.Run != "" {
		head = []byte(c.Run)
		err = a.write(file, head, 0o500)
	} else {
		head, err = j.fetch(ctx, file, a)
	}
	if err != nil {
		return nil, err
	}
	by, err := runBy(c.Shell, head)
	if err != nil {
		return nil, err
	}
	if len(by) > 0 {
		if by[0], err = find(by[0], w.dir, variable(env, "PATH")); err != nil {
			return nil, err
		}
	}
	return append(append(by, file), c.Args...), nil
}

// runBy is what runs a script that begins so: shell where it is given, else
// what a #! line names, else a shell; nothing for a program. The line is read
// here and not by the kernel, which executes nothing below a noexec mount.
func runBy(shell []string, head []byte) ([]string, error) {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	switch {
	case len(shell) > 0:
		return append([]string{}, shell...), nil
	case bytes.HasPrefix(head, []byte("\x7fELF")), bytes.HasPrefix(head, []byte("\xcf\xfa\xed\xfe")), bytes.HasPrefix(head, []byte("\xca\xfe\xba\xbe")):
		return nil, nil // Linux, macOS
	case bytes.IndexByte(head[:min(len(head), 512)], 0) >= 0:
		return nil, errors.New("this is no script and no program for this machine: see that it is what you meant to run")
	case !bytes.HasPrefix(line, []byte("#!")):
		return []string{defaultShell, "-e"}, nil
	case bytes.HasSuffix(line, []byte("\r")):
		return nil, errors.New("the script's lines end as on Windows (CR LF), which its interpreter does not take: save it with LF alone")
	}
	// As Linux does it: all behind the program is one argument (execve(2)).
	prog, arg, _ := strings.Cut(strings.TrimSpace(string(line[2:])), " ")
	arg = strings.TrimSpace(arg)
	switch {
	case prog == "":
		return nil, errors.New("the script's #! line names no program: write #!/bin/sh")
	case arg == "":
		return []string{prog}, nil
	}
	return []string{prog, arg}, nil
}

// find is the file of a program: as written below dir when there is a slash in
// it, else in the directories of path.
func find(prog, dir, path string) (string, error) {
	if strings.Contains(prog, "/") {
		if !filepath.IsAbs(prog) {
			prog = filepath.Join(dir, prog)
		}
		fi, err := os.Stat(prog)
		switch {
		case err != nil:
			return "", fmt.Errorf("there is no program %s: see that its package is among packages, or correct it", prog)
		case fi.IsDir() || fi.Mode()&0o111 == 0:
			return "", fmt.Errorf("%s cannot be executed: make it executable, or name what runs it before it", prog)
		}
		return prog, nil
	}
	for _, d := range filepath.SplitList(path) {
		p := filepath.Join(d, prog)
		if fi, err := os.Stat(p); filepath.IsAbs(p) && err == nil && !fi.IsDir() && fi.Mode()&0o111 != 0 {
			return p, nil
		}
	}
	return "", fmt.Errorf("there is no program %s in %s: add its package to packages, or write its whole path", prog, path)
}

// fetch gets the script from its bucket into file, and returns its beginning.
// It is not run before all of it is there and its checksum is right.
func (j *job) fetch(ctx context.Context, file string, a account) ([]byte, error) {
	r, err := j.env.Object(ctx, j.config.Script)
	if err != nil {
		return nil, fmt.Errorf("fetch the script: %w", err)
	}
	defer r.Close()
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h, head := sha256.New(), &prefix{limit: 4 << 10}
	n, err := io.Copy(io.MultiWriter(f, h, head), io.LimitReader(r, maxScript+1))
	switch sum := hex.EncodeToString(h.Sum(nil)); {
	case err != nil:
		return nil, fmt.Errorf("fetch the script %s: %w", j.config.Script, err)
	case n > maxScript:
		return nil, fmt.Errorf("the script %s is larger than 256 MiB: let a small script fetch what it needs", j.config.Script)
	case n == 0:
		return nil, fmt.Errorf("the script %s is empty: put there what is to be run", j.config.Script)
	case j.config.SHA256 != "" && sum != j.config.SHA256:
		return nil, fmt.Errorf("the script %s has the SHA-256 %s, not what the config says, and was not run: if it was meant to change, change sha256", j.config.Script, sum)
	}
	if !a.own {
		if err := f.Chown(a.uid, a.gid); err != nil {
			return nil, err
		}
	}
	return head.b, errors.Join(f.Chmod(0o500), f.Close())
}

// A prefix keeps the first bytes of what is written to it.
type prefix struct {
	b     []byte
	limit int
}

func (p *prefix) Write(b []byte) (int, error) {
	p.b = append(p.b, b[:min(len(b), p.limit-len(p.b))]...)
	return len(b), nil
}
