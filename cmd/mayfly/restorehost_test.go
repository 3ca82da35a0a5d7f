package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mayfly/internal/cloud"
	"mayfly/internal/store"
	"mayfly/jobs/receive"
	"mayfly/runner"
)

// newRestoring is a restore from a run that is at work, as far as its store
// says.
func newRestoring(t *testing.T) (*restoreSession, store.Store) {
	t.Helper()
	st, err := store.NewDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	const run = "20261126T010000Z-i-0123456789abcdef0"
	for key, doc := range map[string]any{
		"runs/" + run + "/started.json": runner.Started{Deployment: "hosts", Run: run}, "runs/lock.json": runner.Holder{Run: run, Since: time.Now()},
	} {
		b, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := st.Put(t.Context(), key, b, ""); err != nil {
			t.Fatal(err)
		}
	}
	var errs bytes.Buffer
	a := &app{stderr: &errs, stdout: &errs, now: time.Now, poll: time.Millisecond, getenv: func(string) string { return "" }}
	r := &hostRestore{app: a, st: st, host: "web", job: runner.JobSpec{Prefix: "hosts"}, config: &runner.Config{Name: "hosts"}}
	return &restoreSession{
		hostRestore: r, tools: &tools{target: "restore@127.0.0.1"}, id: "request-1", served: run, renewed: time.Now(),
		answer: &receive.Answer{State: receive.Ready, Address: "127.0.0.1", Port: 22},
	}, st
}

// A transfer goes on after the connection was lost, and ends when that helps
// no more.
func TestAgain(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		codes []int // of rsync, the last one for ever
		said  string
		over  bool // the run ends meanwhile
		plain bool // what comes is decrypted
		calls int
		says  string
	}{
		"at once":         {codes: []int{0}, calls: 1},
		"cut twice":       {codes: []int{12, 255, 0}, calls: 3},
		"not yet there":   {codes: []int{255, 255, 10, 23}, calls: 4},
		"never there":     {codes: []int{255}, calls: 6, says: "is in listen.from of the config"},
		"cut for ever":    {codes: []int{12}, calls: 30, says: "the connection was lost 30 times"},
		"a full disk":     {codes: []int{12, 11}, calls: 2, says: "is the disk full?"},
		"another machine": {codes: []int{255}, said: "Host key verification failed.", calls: 1, says: "has not the deployment's host key"},
		"decrypted, over": {codes: []int{12}, over: true, plain: true, calls: 1, says: "with --overwrite begins anew in another"},
		"decrypted, cut":  {codes: []int{12}, plain: true, calls: 30, says: "with --overwrite begins anew"},
		"decrypted, full": {codes: []int{11}, plain: true, calls: 1, says: "with --overwrite begins anew"},
		"the run ends":    {codes: []int{12}, over: true, calls: 1, says: "the run has ended it: the window is over; the same command with --overwrite"},
		"something else":  {codes: []int{4}, calls: 1, says: "rsync ended with exit code 4"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, st := newRestoring(t)
			if tt.plain {
				s.decryption = &decryption{}
			}
			if tt.over {
				b, _ := json.Marshal(receive.Answer{ID: s.id, State: receive.Over, Reason: "the window is over"})
				if _, err := st.Put(t.Context(), "hosts/restores/request-1.json", b, ""); err != nil {
					t.Fatal(err)
				}
			}
			calls := 0
			err := s.again(t.Context(), func() (rsyncSaid, error) {
				calls++
				return rsyncSaid{code: tt.codes[min(calls, len(tt.codes))-1], err: tt.said}, nil
			})
			if calls != tt.calls || (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%d calls, %v", calls, err)
			}
		})
	}
}

// What asks whether a host encrypts, and what is there, survives cuts, and takes
// none for an answer.
func TestListsAfterCut(t *testing.T) {
	t.Parallel()
	cut := rsyncSaid{code: 12, err: "rsync: connection unexpectedly closed (0 bytes received so far) [Receiver]"}
	for name, tt := range map[string]struct {
		cuts int
		mark bool // it is encrypted
		says string
	}{
		"plain": {1, false, ""}, "encrypted": {2, true, errEncrypted.Error()}, "cut for ever": {1000, true, "cannot be reached"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := newRestoring(t)
			left, there := tt.cuts, "there"
			if tt.mark {
				there += " " + encryptedMark
			}
			s.tools.rsync = func(argv []string) rsyncSaid { // as one does that lists a name
				if left--; left >= 0 {
					return cut
				}
				name := strings.TrimPrefix(argv[len(argv)-1], s.tools.target+":./")
				if name == "" {
					return rsyncSaid{out: "-rw-r--r--              0 2026/11/20 17:00:00 there\n"}
				}
				if slices.Contains(strings.Fields(there), name) {
					return rsyncSaid{}
				}
				return rsyncSaid{code: 23}
			}
			err := s.isEncrypted(t.Context())
			if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Fatal(err)
			}
			if tt.cuts > 100 {
				return
			}
			left = tt.cuts // cut again
			s.paths = []string{"there", "gone"}
			if err := s.missing(t.Context(), rsyncSaid{}); err == nil || !strings.Contains(err.Error(), "there is no gone; in web there is there") {
				t.Error(err)
			}
		})
	}
}

// What could not be decrypted is never left out silently, and a key that fits
// nothing is no partial success.
func TestLeftOut(t *testing.T) {
	t.Parallel()
	part := &codeError{exitPartial, errors.New("some files were not restored: x")}
	other := errors.New("decrypt: x")
	for name, tt := range map[string]struct {
		err     error
		partial bool
		says    string
	}{
		"all came":               {leftOut(nil, 5), false, ""},
		"an empty host":          {leftOut(nil, 1), false, ""},
		"nothing came":           {leftOut([]string{"invalid entry a"}, 1), false, "is the key the host's? invalid entry a"},
		"one is missing":         {leftOut([]string{"invalid entry a"}, 2), true, "1 name could not be decrypted: invalid entry a"},
		"two are missing":        {leftOut([]string{"a", "b"}, 2), true, "2 names could not be decrypted: a; b"},
		"neither":                {worse(nil, nil), false, ""},
		"fetched in part":        {worse(part, nil), true, "some files were not restored"},
		"and decrypted":          {worse(part, part), true, "some files were not restored"},
		"and decrypted not":      {worse(part, other), false, "decrypt: x; before, some files were not restored: x"},
		"fetched, decrypted not": {worse(nil, other), false, "decrypt: x"},
	} {
		if (tt.err == nil) != (tt.says == "") || isPartial(tt.err) != tt.partial || tt.err != nil && !strings.Contains(tt.err.Error(), tt.says) {
			t.Errorf("%s: %v", name, tt.err)
		}
	}
}

// A run that is dead ends the restore, whatever its last answer was.
func TestAgainDeadRun(t *testing.T) {
	t.Parallel()
	s, st := newRestoring(t)
	o, err := st.Stat(t.Context(), "runs/lock.json")
	if err == nil {
		err = st.Delete(t.Context(), o.Key, o.ETag)
	}
	if err != nil {
		t.Fatal(err)
	}
	err = s.again(t.Context(), func() (rsyncSaid, error) { return rsyncSaid{code: 255}, nil })
	if err == nil || !strings.Contains(err.Error(), "has ended") {
		t.Error(err)
	}
}

func TestChooseSnapshot(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	snap := func(id, host, data, state string, days int) cloud.Snapshot {
		return cloud.Snapshot{ID: id, State: state, Began: now.AddDate(0, 0, -days), Tags: map[string]string{"mayfly:host": host, "mayfly:data": data}}
	}
	all := []cloud.Snapshot{
		snap("snap-00000001", "web", "complete", "completed", 1), snap("snap-00000002", "web", "partial", "completed", 2), snap("snap-00000003", "web", "complete", "completed", 3),
		snap("snap-00000004", "db", "complete", "completed", 2), snap("snap-00000005", "web", "complete", "pending", 2),
	}
	_, st := newRestoring(t)
	for at, want := range map[string]string{
		"":              "the volume",
		"now":           "snap-00000001",
		"1d":            "snap-00000001",
		"25h":           "snap-00000003", // neither the partial nor the pending one
		"4d":            "the nearest is snap-00000003",
		"snap-00000002": "snap-00000002",
		"snap-00000004": "is a snapshot of the host db",
		"snap-00000005": "is pending",
		"snap-00000009": "is no snapshot of the deployment",
		"snap-1":        "or a snapshot's id",
	} {
		r := &hostRestore{st: st, app: &app{now: func() time.Time { return now }, getenv: func(string) string { return "" }}, o: restoreOptions{at: at}, host: "web", job: runner.JobSpec{Prefix: "hosts"}, config: &runner.Config{Name: "hosts"}}
		s, err := r.choose(context.Background(), all, snapshotsOf(all, "web"))
		got := "the volume"
		if err != nil {
			got = err.Error()
		} else if s != nil {
			got = s.ID
		}
		if !strings.Contains(got, want) {
			t.Errorf("--at %q: %s, want %s", at, got, want)
		}
	}
}

// A snapshot that a drill found damaged is taken by its name alone.
func TestChooseDrilled(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	var all []cloud.Snapshot
	for i, id := range []string{"snap-00000001", "snap-00000002"} {
		all = append(all, cloud.Snapshot{ID: id, State: "completed", Began: now.AddDate(0, 0, -1-i), Tags: map[string]string{"mayfly:host": "web", "mayfly:data": "complete"}})
	}
	for _, tt := range []struct{ failed, problem, at, want string }{
		{"snap-00000001", "x differs", "now", "has failed its drill: x differs; --at snap-00000001 takes it all the same, --at snap-00000002 the one before"},
		{"snap-00000002", "x differs", "2d", "--at snap-00000002 takes it all the same"},
		{"snap-00000001", "x differs", "2d", "snap-00000002"},
		{"snap-00000001", "x differs", "snap-00000001", "snap-00000001"},
		{"snap-00000001", "", "now", "snap-00000001"},
	} {
		s, st := newRestoring(t)
		r := s.hostRestore
		r.o.at, r.app.now = tt.at, func() time.Time { return now }
		doc := fmt.Sprintf(`{"format": 1, "hosts": {"web": {"snapshot": %q, "problem": %q}, "db": {"snapshot": "snap-00000003", "problem": "y"}}}`, tt.failed, tt.problem)
		if _, err := st.Put(t.Context(), "hosts/drills.json", []byte(doc), ""); err != nil {
			t.Fatal(err)
		}
		got := ""
		if snap, err := r.choose(t.Context(), all, all); err != nil {
			got = err.Error()
		} else {
			got = snap.ID
		}
		if !strings.Contains(got, tt.want) || len(tt.want) == len("snap-00000001") && got != tt.want {
			t.Errorf("%+v: %s", tt, got)
		}
	}
}

// Names are no patterns, and no options.
func TestRestoreSources(t *testing.T) {
	t.Parallel()
	x := &tools{target: "restore@192.0.2.1"}
	if got := strings.Join(x.sources([]string{"a b/*", "-rf", `c\[d]?`}), "|"); got != `restore@192.0.2.1:./a b/\*|:./-rf|:./c\\\[d]\?` {
		t.Error(got)
	}
	if got := strings.Join(x.sources(nil), "|"); got != "restore@192.0.2.1:./" {
		t.Error(got)
	}
	const out = "drwxr-xr-x          4,096 2026/11/20 17:00:00 .\n-rw-r--r--              5 2026/11/20 17:00:00 a  b\n-rw-r--r--              5 2026/11/20 17:00:00 c\n"
	if got := listed(out); got != "a  b, c" {
		t.Error(got)
	}
}
