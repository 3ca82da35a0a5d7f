package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"mayfly/jobs/receive"
	"mayfly/runner"
)

// A transferred is what came.
type transferred struct {
	files int
	bytes int64
}

// options are those that decide what comes: as root, owners, ACLs and all;
// otherwise what its user may make. What was cut off waits in a folder beside
// it: a file has its name when all of it is there, and one that is replaced
// stays until then.
func (s *restoreSession) options() []string {
	list := []string{"-aHS", "--numeric-ids", "--partial-dir=.rsync-partial", "--timeout=300", "--exclude=/lost+found", "--exclude=/.mayfly-incoming", "--exclude=.rsync-partial/"}
	if s.acls && os.Geteuid() == 0 {
		list = append(list, "-A", "-X")
	}
	if len(s.get) > 0 {
		list = append(list, "-R")
	}
	return list
}

var statForm = regexp.MustCompile(`(?m)^(Number of (?:regular )?files transferred|Total transferred file size|Number of files): ([0-9]+)`)

func rsyncStats(out string) map[string]int64 {
	found := map[string]int64{}
	for _, m := range statForm.FindAllStringSubmatch(out, -1) {
		n, _ := strconv.ParseInt(m[2], 10, 64)
		found[strings.Replace(m[1], "regular ", "", 1)] = n
	}
	return found
}

// measure finds out that all is there, and that there is room for it.
func (s *restoreSession) measure(ctx context.Context) error {
	var said rsyncSaid
	err := s.again(ctx, func() (rsyncSaid, error) {
		var err error
		said, err = s.call(ctx, nil, append(append(s.options(), "-n", "--stats", "--no-human-readable"), append(s.sources(s.get), s.into)...)...)
		return said, err
	})
	if err != nil {
		return err
	}
	if err := s.isEncrypted(ctx); err != nil {
		return err
	}
	if said.code == 23 && s.decryption != nil {
		return errors.New("there is no such path, or the key is not the host's: without paths, all is fetched")
	}
	if said.code == 23 {
		return s.missing(ctx, said)
	}
	need := rsyncStats(said.out)["Total transferred file size"]
	if s.decryption != nil {
		need *= 2 // it is there twice for a while
	}
	if free, ok := freeSpace(s.into); ok && need > free {
		return fmt.Errorf("it takes %s, and %s has %s: name a folder on another disk with -o", runner.FormatSize(need), s.o.host.output, runner.FormatSize(free))
	}
	s.app.say("Fetching %s.", runner.FormatSize(need))
	return nil
}

// isEncrypted finds out whether what is stored is encrypted, and compares that
// with what was asked for.
func (s *restoreSession) isEncrypted(ctx context.Context) error {
	if s.o.host.raw {
		return nil
	}
	in, err := s.lists(ctx, s.target+":./"+encryptedMark)
	switch {
	case err != nil:
		return err
	case in.code == 0 && s.decryption == nil:
		return errEncrypted
	case in.code == 23 && s.decryption != nil:
		return fmt.Errorf("what is stored of %s is not encrypted by gocryptfs: leave --gocryptfs-config and --password-file out", s.host)
	}
	return nil
}

// lists asks for one name, however often the connection is lost: code 23 is that
// it is not there.
func (s *restoreSession) lists(ctx context.Context, name string) (said rsyncSaid, err error) {
	err = s.again(ctx, func() (rsyncSaid, error) {
		var err error
		said, err = s.call(ctx, nil, "--list-only", "-d", name)
		return said, err
	})
	return said, err
}

// missing says which path is not there, and what is beside it.
func (s *restoreSession) missing(ctx context.Context, said rsyncSaid) error {
	for _, p := range s.paths {
		one, err := s.lists(ctx, s.sources([]string{p})[0])
		if err != nil {
			return err
		}
		if one.code != 23 {
			continue
		}
		for up := path.Dir(p); ; up = path.Dir(up) {
			dir := s.target + ":./"
			if up != "." {
				dir = s.sources([]string{up})[0] + "/"
			}
			in, err := s.lists(ctx, dir)
			if err != nil {
				return err
			}
			if in.code == 0 || up == "." {
				where := up
				if up == "." {
					where = s.host
				}
				return fmt.Errorf("there is no %s; in %s there is %s", p, where, listed(in.out))
			}
		}
	}
	return fmt.Errorf("some files cannot be read: %s", brief(said.err))
}

// listForm is "drwxr-xr-x          4,096 2026/11/20 17:00:00 name".
var listForm = regexp.MustCompile(`^\S{10} +[0-9,]+ \S+ \S+ (.+)$`)

// listed are the names of rsync's --list-only.
func listed(out string) string {
	const most = 20
	var names []string
	for line := range strings.Lines(out) {
		m := listForm.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if m != nil && m[1] != "." && m[1] != "lost+found" {
			names = append(names, m[1]) // in which rsync has escaped what is not printable
		}
	}
	switch {
	case len(names) == 0:
		return "nothing"
	case len(names) > most:
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}

func brief(s string) string { return runner.OneLine(strings.TrimSpace(s), 400) }

// copyAll copies until everything is there.
func (s *restoreSession) copyAll(ctx context.Context) error {
	argv := append(s.options(), "--stats", "--no-human-readable")
	var show io.Writer
	if w := s.app.onTerminal(); w != nil {
		argv, show = append(argv, "--info=progress2"), w
	}
	argv = append(append(argv, s.sources(s.get)...), s.into)
	var said rsyncSaid
	err := s.again(ctx, func() (rsyncSaid, error) {
		var err error
		said, err = s.call(ctx, show, argv...)
		n := rsyncStats(said.out)
		s.out.files += int(n["Number of files transferred"])
		s.out.bytes += n["Total transferred file size"]
		return said, err
	})
	switch {
	case err != nil:
		return err
	case said.code == 23 || said.code == 24:
		return &codeError{exitPartial, fmt.Errorf("some files were not restored: %s", brief(said.err))}
	}
	return nil
}

// onward is what another restore does with what this one has fetched: the stored
// form of encrypted files is not kept.
func (s *restoreSession) onward() string {
	if s.decryption != nil {
		return "begins anew"
	}
	return "goes on"
}

// nothingCame is what rsync says when ssh has not reached the other end; its
// exit code is ssh's 255 or 12 then, whichever it sees first.
const nothingCame = "(0 bytes received so far)"

// again calls rsync until the connection holds, at most until the window is
// over. What another try does not cure is an error.
func (s *restoreSession) again(ctx context.Context, call func() (rsyncSaid, error)) error {
	const tries, quick = 30, 6
	came := false
	for try := 1; ; try++ {
		began := s.app.now()
		said, err := call()
		if err != nil {
			return err
		}
		came = came || s.app.now().Sub(began) > time.Minute || said.code != 255 && !strings.Contains(said.err, nothingCame)
		switch said.code {
		case 0, 23, 24:
			return nil
		case 10, 12, 30, 35, 255: // the connection, or the server's end of it
		case 11:
			return fmt.Errorf("a file could not be written: %s: is the disk full? The same command with --overwrite %s", brief(said.err), s.onward())
		default:
			return fmt.Errorf("rsync ended with exit code %d: %s", said.code, brief(said.err))
		}
		if strings.Contains(said.err, "Host key verification failed") || strings.Contains(said.err, "REMOTE HOST IDENTIFICATION") {
			return fmt.Errorf("the machine at %s has not the deployment's host key: nothing was fetched", s.target)
		}
		if err := s.look(ctx); err != nil {
			return err
		}
		if a := s.answer; a.State == receive.Over || a.State == receive.Refused {
			return fmt.Errorf("the run has ended it: %s; the same command with --overwrite %s in another", a.Reason, s.onward())
		}
		if err := s.stillThere(ctx, s.answer.Until); err != nil {
			return fmt.Errorf("%w; the same command with --overwrite %s in another", err, s.onward())
		}
		if !came && try >= quick {
			return fmt.Errorf("the instance cannot be reached at %s port %d: see that this machine's address is in listen.from of the config (%s)", s.answer.Address, s.answer.Port, brief(said.err))
		}
		if try >= tries {
			return fmt.Errorf("the connection was lost %d times: %s; the same command with --overwrite %s", try, brief(said.err), s.onward())
		}
		s.app.say("The connection was lost or there is none yet (%s); trying again.", brief(said.err))
		if err := wait(ctx, min(time.Duration(try)*s.app.pollEvery(answerEvery), time.Minute)); err != nil {
			return err
		}
	}
}
