package runner

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

const (
	problemsShown = 50
	notesShown    = 20
	namesShown    = 10
	jobsShown     = 30
	hintsShown    = 5
	detailsShown  = 50
	outputShown   = 20 // lines of a program that failed
	textWidth     = 78
	// SNS takes 262,144 bytes, subject and attributes included; the rest is
	// slack for those. Source: Amazon SNS quotas, "message size".
	mailMax = 262144 - 2048
)

// Text is report.txt: plain text for a mail reader, the verdict first. Its
// size is bounded, whatever the report holds.
func (r *Report) Text() string {
	var b strings.Builder
	r.head(&b)
	wide := 9
	for _, jr := range r.Jobs[:min(len(r.Jobs), jobsShown)] {
		wide = max(wide, min(len(OneLine(jr.Name, 60)), 24)+1)
	}
	for i, jr := range r.Jobs {
		if i == jobsShown {
			fmt.Fprintf(&b, "and %d more jobs in report.json\n", len(r.Jobs)-i)
			break
		}
		r.job(&b, jr, wide)
	}
	r.problemLines(&b)
	r.foot(&b)
	return b.String()
}

// Mail is Text followed by the log, whose middle is left out when all of it
// would be too long for SNS; cut is how many bytes were left out already.
func (r *Report) Mail(logHead, logTail string, cut int64) string {
	text := CutText(strings.ToValidUTF8(r.Text(), "?"), mailMax)
	const title = "\nThe log\n-------\n"
	room := mailMax - len(text) - len(title) - 100
	if logHead+logTail == "" || room < 1000 {
		return text
	}
	log := strings.ToValidUTF8(logHead, "?")
	if cut > 0 || len(logHead)+len(logTail) > room {
		half := room / 2
		head, tail := CutText(log, half), strings.ToValidUTF8(logTail, "?")
		if tail == "" {
			tail = log[len(head):]
		}
		if over := len(tail) - half; over > 0 {
			tail = strings.ToValidUTF8(tail[over:], "")
		}
		if _, whole, ok := strings.Cut(tail, "\n"); ok {
			tail = whole
		}
		left := cut + int64(len(logHead)+len(logTail)-len(head)-len(tail))
		return text + title + head + fmt.Sprintf("\n[... %s of the log left out here ...]\n", FormatSize(left)) + tail
	}
	return text + title + log + strings.ToValidUTF8(logTail, "?")
}

// head is the verdict, where and how long the run was, and what cut it short.
func (r *Report) head(b *strings.Builder) {
	verdict := fmt.Sprintf("%s %s.", OneLine(r.Deployment, 60), r.Verdict)
	if r.Verdict == VerdictFailed && r.Published == PublishedFailed && r.jobsVerdict() != VerdictFailed {
		verdict = fmt.Sprintf("%s failed: its jobs are %s, but this report could not be sent.", OneLine(r.Deployment, 60), r.jobsVerdict())
	}
	id := "run " + OneLine(r.Run, 80)
	fmt.Fprintf(b, "%s%s%s\n", verdict, strings.Repeat(" ", max(2, textWidth-len(verdict)-len(id))), id)
	where := "On " + OneLine(r.Host, 100)
	took := r.Ended.Sub(r.Started)
	cost := ""
	if i := r.Instance; i != nil {
		where = OneLine(strings.TrimSpace(i.Type+" "+i.Market)+" in "+i.Zone, 100)
		if i.HourlyUSD > 0 {
			cost = fmt.Sprintf(", about $%.4f", i.HourlyUSD*took.Hours())
		}
	}
	fmt.Fprintf(b, "%s for %s%s.", where, FormatDuration(took), cost)
	if !r.Next.IsZero() {
		fmt.Fprintf(b, " Next: %s.", r.Next.Format("Mon 2 Jan 15:04"))
	}
	b.WriteString("\n")
	if r.Cause != "" {
		fmt.Fprintf(b, "Cut short: %s.\n", strings.TrimSuffix(OneLine(r.Cause, 500), "."))
	}
	b.WriteString("\n")
}

// jobsVerdict is the worst of the jobs'; a run without any did nothing.
func (r *Report) jobsVerdict() Verdict {
	v := VerdictComplete
	if len(r.Jobs) == 0 {
		v = VerdictFailed
	}
	for _, jr := range r.Jobs {
		v = v.worse(jr.Verdict)
	}
	return v
}

// job is the line of one job and what is said about its backups' ages; wide is
// the column of names.
func (r *Report) job(b *strings.Builder, jr JobReport, wide int) {
	name := OneLine(jr.Name, 60)
	indent := strings.Repeat(" ", wide)
	t, handled := jr.tally(), jr.handled()
	wrote := jr.CountedBytes
	for _, it := range jr.Items {
		wrote += it.Wrote
	}
	fmt.Fprintf(b, "%-*s", wide, name)
	switch {
	case handled == 0 && jr.Expected < 0:
		fmt.Fprintf(b, "%s: no list of %s", jr.Verdict, jr.unit())
	case jr.Expected < 0:
		fmt.Fprintf(b, "at least %s (the list is not complete): %s", FormatCount(handled, jr.unit()), t.counts())
	case handled == 0:
		fmt.Fprint(b, FormatCount(jr.Expected, jr.unit()))
	default:
		fmt.Fprintf(b, "%s: %s", FormatCount(jr.items(), jr.unit()), t.counts())
	}
	if open := jr.Expected - handled; open > 0 && jr.Expected > 0 {
		fmt.Fprintf(b, ", %d not started", open)
	}
	switch {
	case jr.To != "" && handled > 0:
		fmt.Fprintf(b, "; brought %s to %s, %s", FormatCount(t[Changed], jr.unit()), OneLine(jr.To, 100), FormatSize(wrote))
	case handled > 0 && (wrote > 0 || !jr.Ageless):
		fmt.Fprintf(b, "; %s written", FormatSize(wrote))
	}
	b.WriteString("\n")
	if jr.Cause != "" && jr.Cause != r.Cause {
		fmt.Fprintf(b, "%scut short: %s\n", indent, OneLine(jr.Cause, 500))
	}
	r.ageLines(b, jr, indent)
	detailLines(b, jr, indent)
}

// detailLines are what items have to say of themselves.
func detailLines(b *strings.Builder, jr JobReport, indent string) {
	shown := 0
	for _, it := range jr.Items {
		if it.Detail == "" {
			continue
		}
		if shown++; shown > detailsShown {
			fmt.Fprintf(b, "%sand more in report.json\n", indent)
			return
		}
		fmt.Fprintf(b, "%s%s: %s\n", indent, OneLine(it.Name, 63), OneLine(it.Detail, 400))
	}
}

func (r *Report) ageLines(b *strings.Builder, jr JobReport, indent string) {
	a := jr.ages(r.Ended, r.stale)
	if !a.oldest.IsZero() {
		note := OneLine(cmp.Or(a.oldestName, "all other "+jr.unit()), 120)
		if jr.Verdict == VerdictComplete && a.oldest.After(r.Started.Add(-time.Second)) {
			note = "all current"
		}
		fmt.Fprintf(b, "%soldest good backup: %s (%s)\n", indent, FormatDuration(r.Ended.Sub(a.oldest)), note)
	}
	if len(a.never) > 0 {
		fmt.Fprintf(b, "%snever backed up: %s\n", indent, names(a.never, namesShown))
	}
	if len(a.stale) > 0 {
		fmt.Fprintf(b, "%solder than %s: %s\n", indent, FormatDuration(r.stale), names(a.stale, namesShown))
	}
}

func (r *Report) problemLines(b *strings.Builder) {
	list := append([]Problem(nil), r.Problems...)
	notes := append([]Problem(nil), r.Notes...)
	for _, jr := range r.Jobs {
		list = append(list, jr.problems()...)
		for _, w := range jr.Warnings {
			w.Job = jr.Name
			notes = append(notes, w)
		}
	}
	b.WriteString("\nProblems\n")
	if len(list) == 0 {
		b.WriteString("  none\n")
	}
	problemList(b, list, problemsShown)
	if len(notes) > 0 {
		b.WriteString("\nNotes\n")
		problemList(b, notes, notesShown)
	}
}

func problemList(b *strings.Builder, list []Problem, shown int) {
	for i, p := range list {
		if i == shown {
			fmt.Fprintf(b, "  and %d more in report.json\n", len(list)-i)
			return
		}
		fix := p.Fix
		p.Fix = ""
		text := p.String()
		if p.Job != "" && p.Item == "" {
			text = p.Job + ": " + text
		}
		fmt.Fprintf(b, "  %s\n", OneLine(text, 1000))
		if fix != "" {
			fmt.Fprintf(b, "      %s\n", OneLine(fix, 500))
		}
		for _, line := range lastLines(p.Output, outputShown) {
			fmt.Fprintf(b, "      | %s\n", OneLine(line, 200))
		}
	}
}

// lastLines are the last n lines of a text.
func lastLines(s string, n int) []string {
	s = strings.TrimRight(s, "\n")
	if s == "" {
		return nil
	}
	lines := strings.Split(s, "\n")
	return lines[max(0, len(lines)-n):]
}

// foot says how to get things back and where the log is.
func (r *Report) foot(b *strings.Builder) {
	b.WriteString("\n")
	shown := 0
	for _, jr := range r.Jobs {
		hint := r.hints[jr.Name]
		if hint == "" || shown == hintsShown {
			continue
		}
		shown++
		lines := strings.Split(strings.TrimRight(hint, "\n"), "\n")
		for k, l := range lines[:min(len(lines), 10)] {
			label := ""
			if k == 0 {
				label = "Restore one:"
			}
			fmt.Fprintf(b, "%s\n", strings.TrimRight(fmt.Sprintf("%-13s %s", label, OneLine(l, 400)), " "))
		}
	}
	fmt.Fprintf(b, "%-13s %s\n", "Log:", OneLine(r.Log, 400))
}
