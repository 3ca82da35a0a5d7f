package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"time"

	"mayfly/internal/store"
)

// Times for the steps of finish, and what is granted to a step that does not
// heed them. Together less than finishTime.
const (
	logTime     = 12 * time.Second
	storeTime   = 12 * time.Second
	publishTime = 15 * time.Second
	releaseTime = 8 * time.Second
	textTime    = 5 * time.Second // to put the report into words, on a slow machine
	graceTime   = 1 * time.Second
	lastTime    = 15 * time.Second
	endTime     = 5 * time.Minute // the ladder has its own bounds
)

// finish reports the run: log, report.json and report.txt to the store, mail,
// console; then it releases the lock. Each step is bounded, and none can keep
// the next from happening. It does not care whether ctx has ended.
func (r *run) finish(ctx context.Context, jobs context.Context) {
	rep := r.report
	rep.Ended = r.Now().UTC()
	rep.Verdict = rep.jobsVerdict()
	if cause := causeOf(jobs); rep.Verdict != VerdictComplete {
		for _, jr := range rep.Jobs {
			if jr.Cause == cause {
				rep.Cause = cause
			}
		}
	}
	if len(rep.Jobs) == 0 {
		r.problem(VerdictFailed, "run", errors.New("no job is configured"), "add one under jobs:")
	}
	if r.ahead != nil {
		rep.Notes = append(rep.Notes, r.ahead.notes()...)
	}
	r.keep(ctx)
	r.log.Info("run ended: " + string(rep.Verdict))
	r.deliver(ctx)
}

// deliver gets log and report to whom they are for, and releases the lock.
//
// The report is stored twice: before it is published, so that a cut in between
// leaves one (published: pending), and after, with how that went. Then it is
// printed. Who is told last, a dead man's switch, hears of success only when
// nothing is left that can fail.
func (r *run) deliver(ctx context.Context) {
	rep := r.report
	if err := r.step(ctx, "write the log", logTime, r.logs.close); err != nil {
		r.problem(VerdictComplete, "write the log", err, "the log in the store is not whole; this report is")
	}
	rep.redact(r.Redact)
	if r.Publisher != nil {
		rep.Published = PublishedPending
	}
	var etags [2]store.ETag
	put := func() {
		var err error
		if etags, err = r.putReport(ctx, etags); err != nil {
			r.problem(VerdictPartial, "store the report", err, "check that the store can be written")
		}
	}
	put()
	if r.told(ctx) {
		put()
	}
	if err := r.print(); err != nil && r.Publisher == nil {
		// There was nobody else to tell.
		r.problem(VerdictPartial, "print the report", err, "it is in the store: "+r.Store.URL("runs/"+r.RunID+"/report.txt"))
		put()
	}
	if before := len(rep.Problems); r.tell(ctx, true) {
		put()
		r.add(rep.Problems[before:])
	}
	r.release(ctx)
}

// refuse reports that the run did not start.
func (r *run) refuse(ctx context.Context, why error) {
	rep := r.report
	rep.Ended = r.Now().UTC()
	r.problem(VerdictFailed, "start", why, "nothing was done")
	r.keep(ctx)
	rep.redact(r.Redact)
	r.told(ctx)
	r.tell(ctx, true)
	r.print()
}

// told tells who takes the report, and not yet who is to know whether that has
// worked. It reports whether the report is another one now.
func (r *run) told(ctx context.Context) (changed bool) {
	if r.Publisher != nil {
		changed = true
		r.publish(ctx)
	}
	r.begins.Wait() // each is bounded
	return r.tell(ctx, false) || changed
}

// publish sends the mail. When that fails the run is not complete.
func (r *run) publish(ctx context.Context) {
	rep := r.report
	var subject, body string
	err := r.step(ctx, "write the mail", textTime, func(context.Context) error {
		subject, body = rep.Subject(), rep.Mail(r.tail.parts())
		return nil
	})
	if err == nil {
		err = r.step(ctx, "publish the report", publishTime, func(ctx context.Context) error {
			return r.Publisher.Publish(ctx, subject, body)
		})
	}
	if err != nil {
		rep.Published = PublishedFailed
		r.problem(VerdictFailed, "publish the report", err, "nobody got this report: check the topic and the permission to publish to it")
		return
	}
	rep.Published = PublishedSent
}

// putReport writes both forms of the report over the given versions.
func (r *run) putReport(ctx context.Context, old [2]store.ETag) ([2]store.ETag, error) {
	etags := old
	var js []byte
	var text string
	err := r.step(ctx, "write the report", textTime, func(context.Context) (err error) {
		text = r.report.Text()
		js, err = r.report.JSON()
		return err
	})
	if err != nil {
		return etags, err
	}
	prefix := "runs/" + r.RunID + "/report."
	files := []struct {
		key string
		b   []byte
	}{{prefix + "json", js}, {prefix + "txt", []byte(text)}}
	var first error
	for i, f := range files {
		var etag store.ETag
		err := r.step(ctx, "store the report", storeTime/2, func(ctx context.Context) (err error) {
			etag, err = r.Store.Put(ctx, f.key, f.b, old[i])
			return err
		})
		if err == nil {
			etags[i] = etag
		} else if first == nil {
			first = err
		}
	}
	return etags, first
}

// release gives the lock back. When that fails it goes stale by itself: worth
// a line in the console's log, no more.
func (r *run) release(ctx context.Context) {
	if err := r.step(ctx, "release the lock", releaseTime, r.lock.release); err != nil {
		r.log.Warn("cannot release the lock", KeyErr, err)
	}
}

// print puts the report on the console, behind what the log still has to say
// there.
func (r *run) print() error {
	if r.console != nil {
		r.console.flush(graceTime)
	}
	// In steps of their own: a console that takes nothing keeps only what is
	// printed, while the report goes on to change.
	var text string
	err := r.step(context.Background(), "write the report", textTime, func(context.Context) error {
		text = r.Redact(r.report.Text())
		return nil
	})
	if err == nil {
		err = r.step(context.Background(), "print the report", textTime, func(context.Context) error {
			_, err := io.WriteString(r.Out, text)
			return err
		})
	}
	if err != nil {
		r.log.Warn("cannot print the report", KeyErr, err)
	}
	return err
}

// add prints what has come to the report since it was printed.
func (r *run) add(list []Problem) {
	var text strings.Builder
	fmt.Fprintf(&text, "\nSince this was printed, and the run is %s:\n", r.report.Verdict)
	for _, p := range list {
		fmt.Fprintf(&text, "  %s\n", p)
	}
	err := r.step(context.Background(), "print the report", textTime, func(context.Context) error {
		_, err := io.WriteString(r.Out, r.Redact(text.String()))
		return err
	})
	if err != nil {
		r.log.Warn("cannot print the report", KeyErr, err)
	}
}

// last has the jobs do what would be in the way of all the rest. It is too late
// for the report: the log of the console takes what goes wrong. A machine that
// ends has none of its time for that.
func (r *run) last(ctx context.Context) {
	if r.Ender != nil {
		return
	}
	for _, t := range r.Tasks {
		if t.Last == nil {
			continue
		}
		if err := r.step(ctx, "do the last of "+t.Name, lastTime, t.Last); err != nil {
			r.log.Warn("cannot do the last of the job", KeyJob, t.Name, KeyErr, err)
		}
	}
}

// end ends the machine, once it need not be kept. It runs whatever happened
// before.
func (r *run) end(ctx context.Context) {
	if r.Ender == nil {
		return
	}
	defer func() {
		if err := r.step(ctx, "end the machine", endTime, r.Ender.End); err != nil {
			r.log.Error("cannot end the machine", KeyErr, err)
		}
	}()
	r.linger(ctx)
}

// problem adds one of the run's own and makes the verdict at least v.
func (r *run) problem(v Verdict, doing string, err error, fix string) {
	r.log.Error("cannot "+doing, KeyErr, err)
	p := Problem{Doing: doing, Reason: r.Redact(err.Error()), Fix: fix}
	r.report.Problems = append(r.report.Problems, p)
	r.report.Verdict = r.report.Verdict.worse(v)
	if r.report.Verdict == "" {
		r.report.Verdict = v
	}
}

// step calls f with a context of its own that lasts for limit. A panic is an
// error; a call that does not return is left behind.
func (r *run) step(ctx context.Context, doing string, limit time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		err := fmt.Errorf("%s: it gave up without a reason", doing)
		defer func() {
			if p := recover(); p != nil {
				r.log.Error("panic while finishing", KeyErr, fmt.Sprint(p), KeyStack, string(debug.Stack()))
				err = fmt.Errorf("it panicked: %v: this is a bug in mayfly", p)
			}
			done <- err
		}()
		err = f(ctx)
	}()
	timer := time.NewTimer(limit + graceTime)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return fmt.Errorf("it did not return within %s", FormatDuration(limit))
	}
}

// A fanout writes to several writers that do not fail.
type fanout []io.Writer

func (f fanout) Write(p []byte) (int, error) {
	for _, w := range f {
		if _, err := w.Write(p); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}
