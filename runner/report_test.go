package runner

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "write the golden files")

var (
	began = time.Date(2026, 11, 20, 17, 4, 12, 0, time.UTC)
	ended = began.Add(41 * time.Second)
)

func baseReport() *Report {
	return &Report{
		Format: 1, Deployment: "onlinebackup", Run: "20261120T170412Z-i-0abc", Version: "1.0",
		Verdict: VerdictComplete, Started: began, Ended: ended, Host: "laptop",
		Store: "s3://onlinebackupbucket", Log: "s3://onlinebackupbucket/runs/20261120T170412Z-i-0abc/log/",
		Published: PublishedPending, stale: 30 * 24 * time.Hour,
		hints: map[string]string{"github": "aws s3 cp s3://onlinebackupbucket/github/frostrubin/dotfiles/20261120T170412Z/0000-full.zip .\nunzip 0000-full.zip && git clone --mirror repo.bundle dotfiles.git"},
	}
}

// repos makes items of one outcome each.
func repos(prefix string, n int, o Outcome, wrote int64, good time.Time, why string) []ItemReport {
	var list []ItemReport
	for i := range n {
		it := ItemReport{Name: fmt.Sprintf("%s%02d", prefix, i), Outcome: o, Started: began, Ended: ended, Wrote: wrote, LastGood: good}
		if why != "" {
			it.Problem = &Problem{Doing: "fetch", Item: it.Name, Reason: why, Fix: "grant the token Contents:read, or exclude the repository"}
		}
		list = append(list, it)
	}
	return list
}

func concat(lists ...[]ItemReport) (all []ItemReport) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

func completeReport() *Report {
	r := baseReport()
	r.Instance = &Instance{ID: "i-0abc", Type: "t4g.nano", Zone: "eu-west-1b", Market: "spot", HourlyUSD: 0.0088}
	r.Next = time.Date(2026, 11, 27, 17, 0, 0, 0, time.UTC)
	r.Jobs = []JobReport{{Name: "github", Unit: "repositories", Verdict: VerdictComplete, Started: began, Ended: ended, Expected: 42,
		Items: concat(repos("a/c", 3, Changed, 400_000, began, ""), repos("a/u", 38, Unchanged, 0, began, ""), repos("a/e", 1, Empty, 0, ended, ""))}}
	return r
}

func partialReport() *Report {
	r := baseReport()
	r.Verdict = VerdictPartial
	r.Jobs = []JobReport{
		{Name: "github", Unit: "repositories", Verdict: VerdictPartial, Expected: 6,
			Items: concat(repos("a/c", 2, Changed, 1_000_000, ended, ""), repos("a/f", 1, Failed, 0, began.Add(-40*24*time.Hour), "the token may not read it"),
				repos("a/n", 2, Failed, 0, time.Time{}, "an object does not inflate"), repos("a/x", 1, Skipped, 0, began.Add(-90*24*time.Hour), "")),
			Warnings: []Problem{{Reason: "the token sees 6 of 9 repositories", Fix: "grant it all repositories"}}},
		{Name: "servers", Unit: "hosts", Verdict: VerdictFailed, Expected: -1, Items: []ItemReport{}, Error: "the job panicked: ouch: this is a bug in mayfly; the log has more"},
	}
	r.Verdict = VerdictFailed
	return r
}

func interruptedReport() *Report {
	r := baseReport()
	r.Verdict, r.Cause = VerdictInterrupted, ErrDeadline.Error()
	items := repos("a/o", 1, Interrupted, 0, began.Add(-7*24*time.Hour), "")
	items[0].Open = true
	r.Jobs = []JobReport{
		{Name: "github", Unit: "repositories", Verdict: VerdictInterrupted, Cause: r.Cause, Expected: 10, Items: concat(repos("a/c", 1, Changed, 5, ended, ""), items)},
		{Name: "servers", Unit: "hosts", Verdict: VerdictInterrupted, Cause: r.Cause, Error: "not started", Expected: -1, Items: []ItemReport{}},
	}
	return r
}

func TestReportGolden(t *testing.T) {
	t.Parallel()
	unsent := completeReport()
	unsent.Published, unsent.Verdict = PublishedFailed, VerdictFailed
	unsent.Problems = []Problem{{Doing: "publish the report", Reason: "sns:Publish arn:aws:sns:eu-west-1:1:x: it does not exist", Fix: "nobody got this report: check the topic and the permission to publish to it"}}
	for name, r := range map[string]*Report{
		"complete": completeReport(), "partial": partialReport(), "interrupted": interruptedReport(), "unsent": unsent,
	} {
		golden(t, name+".txt", "Subject: "+r.Subject()+"\n\n"+r.Text())
	}
	b, err := interruptedReport().JSON()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "interrupted.json", string(b))
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "report", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got:\n%s\nwant:\n%s", path, got, want)
	}
}

// hostile is text that breaks a mail, a terminal or a limit.
var hostile = strings.Repeat("ü\x00\x1b[31m\r\nSubject: x\xff\u202e", 500)

// worst is a report as large and as hostile as it can be.
func worst() *Report {
	r := baseReport()
	r.Deployment, r.Host, r.Cause, r.Run = hostile, hostile, hostile, hostile
	r.Verdict, r.hints = VerdictFailed, map[string]string{}
	p := Problem{Job: "j", Item: hostile, Doing: hostile, Reason: hostile, Fix: hostile}
	for range 200 {
		r.Problems = append(r.Problems, p)
	}
	for i := range 200 {
		jr := JobReport{Name: fmt.Sprintf("%d%s", i, hostile), Unit: "repositories", Verdict: VerdictFailed, Cause: hostile + "x", Error: hostile, Expected: 500}
		for k := range 200 {
			it := ItemReport{Name: hostile, Outcome: Failed, Problem: &p}
			if k%2 == 0 {
				it.LastGood = began.Add(-100 * 24 * time.Hour)
			}
			jr.Items = append(jr.Items, it)
			jr.Warnings = append(jr.Warnings, p)
		}
		r.Jobs = append(r.Jobs, jr)
		r.hints[jr.Name] = strings.Repeat(hostile, 20)
	}
	return r
}

func TestReportLimits(t *testing.T) {
	t.Parallel()
	log := strings.Repeat("time=x level=INFO msg=\"ü\xff\"\n", 20_000)
	for name, r := range map[string]*Report{"worst": worst(), "complete": completeReport(), "partial": partialReport()} {
		s := r.Subject()
		if len(s) > 99 || strings.IndexFunc(s, func(c rune) bool { return c < ' ' || c > '~' }) >= 0 || !strings.Contains(s, string(r.Verdict)) {
			t.Errorf("%s: subject %q", name, s)
		}
		text := r.Text()
		for _, mail := range []string{r.Mail("", "", 0), r.Mail("short\n", "", 0), r.Mail(log, "", 0), r.Mail(log, log, 12345)} {
			if len(mail)+len(s) > 262144-1000 || !utf8.ValidString(mail) {
				t.Errorf("%s: mail of %d bytes, valid %v", name, len(mail), utf8.ValidString(mail))
			}
			if !strings.HasPrefix(mail, text) {
				t.Errorf("%s: the mail does not hold the whole report", name)
			}
			if strings.ContainsAny(text, "\x00\x1b\r\u202e") {
				t.Errorf("%s: control characters in the report", name)
			}
		}
	}
	for _, want := range []string{"more in report.json", "and 170 more jobs"} {
		if !strings.Contains(worst().Text(), want) {
			t.Errorf("the worst report lacks %q", want)
		}
	}
}

func TestMailCutsTheMiddleOfTheLog(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range 40_000 {
		fmt.Fprintf(&b, "line %06d\n", i)
	}
	mail := completeReport().Mail(b.String(), "", 0)
	for _, want := range []string{"line 000000\n", "line 039999\n", "of the log left out here"} {
		if !strings.Contains(mail, want) {
			t.Errorf("the mail lacks %q", want)
		}
	}
	if strings.Contains(mail, "line 020000\n") || len(mail) < 200_000 {
		t.Errorf("the cut is wrong: mail of %d bytes", len(mail))
	}
}

func TestFormats(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Second: "0 s", 400 * time.Millisecond: "0 s", 41 * time.Second: "41 s", 59*time.Second + 600*time.Millisecond: "1 min",
		200 * time.Second: "3 min 20 s", 65 * time.Minute: "1 h 5 min", 24 * time.Hour: "1 d", 195 * time.Hour: "8 d 3 h", 90*24*time.Hour + time.Hour: "90 d",
	} {
		if got := FormatDuration(d); got != want {
			t.Errorf("%s: got %q, want %q", d, got, want)
		}
	}
	for n, want := range map[int64]string{-1: "0 B", 999: "999 B", 1000: "1.0 kB", 1_234_567: "1.2 MB", 999_960: "1.0 MB", 4_300_000_000: "4.3 GB", 1 << 62: "4.6 EB"} {
		if got := FormatSize(n); got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
	}
	for want, c := range map[string]struct {
		n    int
		unit string
	}{"1 repository": {1, "repositories"}, "2 repositories": {2, "repositories"}, "1 host": {1, "hosts"}, "0 items": {0, "items"}} {
		if got := FormatCount(c.n, c.unit); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := NewRunID(began, "My-Laptop.local"); got != "20261120T170412Z-my-laptop" {
		t.Errorf("run id %q", got)
	}
	if got := NewRunID(began, "/../"); got != "20261120T170412Z-host" {
		t.Errorf("run id %q", got)
	}
}
