package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"time"

	"mayfly/runner"
)

// A job runs one command.
type job struct {
	config    *Config
	env       runner.Env
	blocked   []netip.Addr // what a confined command must not reach
	processes int          // the most it may have at once
	longest   int          // of the secrets it knows
}

var _ runner.Job = (*job)(nil)

// Unit is what an item of this job is.
func (j *job) Unit() string { return "commands" }

// Ageless says that a command is no backup that could grow old.
func (j *job) Ageless() bool { return true }

// ReadsOnly says that a command without artifacts writes nothing to the store.
func (j *job) ReadsOnly() bool { return j.config.Artifacts == "" }

// confined reports whether the command is to be kept from credentials that
// anybody on the machine could have.
func (j *job) confined() bool { return j.env.Instance && !j.config.AWS }

// Run runs the command to its end, and returns within 20 s of ctx's end.
func (j *job) Run(ctx context.Context, rec *runner.Recorder) error {
	rec.Expect(1)
	item := rec.Start(j.env.Job)
	outcome, problem := j.run(ctx, rec, item)
	if problem != nil {
		if problem.Doing == "" {
			problem.Doing = "run"
		}
		rec.Log().Error(problem.String())
	}
	item.End(outcome, problem)
	return nil
}

// run is Run; what it has made is gone when it returns.
func (j *job) run(ctx context.Context, rec *runner.Recorder, item *runner.Item) (runner.Outcome, *runner.Problem) {
	failed := func(err error) (runner.Outcome, *runner.Problem) {
		outcome := runner.Failed
		if ctx.Err() != nil {
			outcome = runner.Interrupted
		}
		return outcome, &runner.Problem{Reason: err.Error()}
	}
	if err := j.packagesAreThere(ctx); err != nil {
		return failed(err)
	}
	who, problem := j.account(j.confined())
	if problem != nil {
		return runner.Failed, problem
	}
	place, err := j.makeWorkplace(who)
	defer place.remove(ctx, rec)
	if err != nil {
		return failed(err)
	}
	cmd, err := j.prepare(ctx, place, who)
	if err != nil {
		return failed(err)
	}
	rec.Log().Info(fmt.Sprintf("running as %s in %s", who, place.dir))
	r := &running{job: j, rec: rec, item: item, cmd: cmd}
	if outcome, problem := r.live(ctx, who); outcome != runner.Done {
		return outcome, problem
	}
	if j.config.Artifacts == "" {
		return runner.Done, nil
	}
	return j.keep(ctx, rec, item, place, who)
}

// prepare puts together what is run.
func (j *job) prepare(ctx context.Context, w *workplace, a account) (*exec.Cmd, error) {
	secrets, err := j.secretVariables()
	if err != nil {
		return nil, err
	}
	if err := j.writeSecrets(w, a); err != nil {
		return nil, err
	}
	if j.config.Artifacts != "" {
		if err := w.makeArtifacts(j.config.Artifacts, a); err != nil {
			return nil, fmt.Errorf("make the directory of artifacts: %w", err)
		}
	}
	env := j.environ(w, a, secrets)
	argv, err := j.command(ctx, w, a, env)
	if err != nil {
		return nil, err
	}
	cmd := &exec.Cmd{Path: argv[0], Args: argv, Env: env, Dir: w.dir}
	a.takeOn(cmd)
	return cmd, nil
}

// running is a command at work.
type running struct {
	job   *job
	rec   *runner.Recorder
	item  *runner.Item
	cmd   *exec.Cmd
	group *group
	was   remains // before it began
	out   *output
	said  chan struct{} // closed when all of its output is read
}

// live starts the command and waits until it and all that it has started are
// gone.
func (r *running) live(ctx context.Context, who account) (runner.Outcome, *runner.Problem) {
	j, c := r.job, r.job.config
	mark, err := newMark()
	if err != nil {
		return runner.Failed, &runner.Problem{Reason: err.Error()}
	}
	r.cmd.Env = append(r.cmd.Env, mark)
	o := groupOptions{mark: mark, memory: int64(c.Memory), required: c.Memory > 0, confined: j.confined(), blocked: j.blocked, uid: who.uid, processes: j.processes}
	// A machine that ends with the run is nobody else's.
	o.sweep = j.env.Instance && !who.own && who.uid > 0
	if o.memory == 0 && j.env.Instance {
		o.memory = memoryOfMachine() / 5 * 4 // the report needs some, too
	}
	if r.group, err = newGroup(o); err != nil {
		return runner.Failed, &runner.Problem{Reason: err.Error()}
	}
	defer func() {
		if err := r.group.close(); err != nil {
			r.rec.Log().Warn("cannot remove the command's control group", runner.KeyErr, err)
		}
	}()
	if o.sweep && !r.group.alone() {
		r.rec.Log().Info(who.String() + " has other processes on this machine: of what is started for it meanwhile, only what its own service manager starts ends with the command")
	}
	r.was = remainsOf(who.uid)
	stopReading, err := r.pipe()
	if err != nil {
		return runner.Failed, &runner.Problem{Reason: err.Error()}
	}
	exited, err := r.start()
	if err != nil {
		stopReading()
		return runner.Failed, &runner.Problem{Reason: "it could not be started: " + err.Error(), Fix: "see that the program, its interpreter and the working directory are there and that " + who.String() + " may use them"}
	}
	cut, gone := r.wait(ctx, exited)
	left := r.tidy(cut)
	stopReading()
	r.out.end()
	if !gone {
		return runner.Failed, r.problem("it does not end, not even by SIGKILL: a process is stuck in the kernel"+numbers(left), "see what it was reading or writing: a disk or a network file system that does not answer")
	}
	return r.judge(ctx, cut)
}

// pipe makes what the command's output is read through. What it returns ends
// the reading, whoever still has the other end open.
func (r *running) pipe() (stop func(), err error) {
	j := r.job
	r.out = newOutput(j.config.output(), j.longest, j.env.Redact, func(line string) { r.rec.Log().Info(line) })
	from, to, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	r.cmd.Stdout, r.cmd.Stderr = to, to
	r.said = make(chan struct{})
	go func() {
		defer close(r.said)
		_, _ = io.CopyBuffer(struct{ io.Writer }{r.out}, struct{ io.Reader }{from}, make([]byte, 64<<10))
	}()
	return func() {
		to.Close()
		select {
		case <-r.said:
		case <-time.After(settleTime):
			_ = from.SetReadDeadline(time.Now()) // something outside of the group holds it
			<-r.said
		}
		from.Close()
	}, nil
}

// start starts the command; exited is closed when its first process has ended.
func (r *running) start() (exited chan struct{}, err error) {
	if err := r.group.start(r.cmd); err != nil {
		return nil, err
	}
	r.cmd.Stdout.(*os.File).Close()
	exited = make(chan struct{})
	go func() {
		_ = r.cmd.Wait() // its ProcessState says it
		close(exited)
	}()
	return exited, nil
}

// wait waits for the first process. When ctx ends it is asked to end and, if
// it does not, killed: cut says which ("" neither), gone that it has ended.
func (r *running) wait(ctx context.Context, exited chan struct{}) (cut string, gone bool) {
	select {
	case <-exited:
		return "", true
	case <-ctx.Done():
	}
	cut = "it ended when it was sent SIGTERM"
	r.group.terminate()
	timer := time.NewTimer(r.job.config.stop())
	defer timer.Stop()
	select {
	case <-exited:
		return cut, true
	case <-timer.C:
	}
	cut = fmt.Sprintf("it did not end within %s of SIGTERM and was killed", runner.FormatDuration(r.job.config.stop()))
	r.group.kill()
	select {
	case <-exited:
		return cut, true
	case <-time.After(time.Second):
		return cut, false
	}
}

// tidy ends what the command has left behind, and returns what cannot be.
func (r *running) tidy(cut string) []int {
	limit := settleTime
	if cut != "" {
		limit = 0
	}
	left := r.group.settle(limit)
	var names []string
	for _, pid := range left[:min(len(left), 10)] {
		names = append(names, nameOf(pid))
	}
	stuck := r.group.kill()
	warn := func(reason, fix string) {
		r.rec.Warn(runner.Problem{Item: r.job.env.Job, Reason: reason, Fix: fix})
	}
	if len(left) > 0 && cut == "" {
		warn(fmt.Sprintf("%s it had left running ended with it: %s", countProcesses(len(left)), strings.Join(names, ", ")), "let the command wait for what it starts")
	}
	if out := r.group.escapes(); len(out) > 0 {
		warn("processes of it had left their control groups, so its limits did not hold for them: "+strings.Join(out, ", "), "let it stay in them; what needs groups of its own is better a service of the machine's")
	}
	if more := r.group.spared(); len(more) > 0 {
		warn(fmt.Sprintf("processes that others have started for its user meanwhile go on, for the user has others too: %s", strings.Join(more[:min(len(more), 10)], ", ")), "name a user that nothing else on the machine has")
	}
	if len(stuck) == 0 {
		r.clean(warn)
	}
	if len(stuck) > 0 {
		warn("processes of it could not be ended"+numbers(stuck), "they are stuck in the kernel, or another user's: end them yourself")
	}
	return stuck
}

// clean removes what outlasts processes.
func (r *running) clean(warn func(reason, fix string)) {
	type result struct {
		removed, left []string
		err           error
	}
	done := make(chan result, 1)
	go func() {
		var res result
		res.removed, res.left, res.err = r.was.sweep(r.group.alone(), r.job.env.Instance)
		done <- res
	}()
	var res result
	select {
	case res = <-done:
	case <-time.After(cleanTime):
		res.err = errors.New("it takes too long")
	}
	some := func(names []string) string { return list(names[:min(len(names), shown)], max(0, len(names)-shown)) }
	if len(res.removed) > 0 {
		warn("it had left behind, and with it was removed: "+some(res.removed), "let the command remove what it makes; what is to stay belongs below dir, or among its artifacts")
	}
	if len(res.left) > 0 {
		warn("made while it ran, perhaps by it, and still there: "+some(res.left), "let the command remove it, or see ipcs and remove it with ipcrm")
	}
	if res.err != nil {
		warn("not all that it had left behind could be removed: "+runner.OneLine(res.err.Error(), 300), "remove it yourself")
	}
}

func countProcesses(n int) string {
	if n == 1 {
		return "a process that"
	}
	return fmt.Sprintf("%d processes that", n)
}

func numbers(pids []int) string {
	if len(pids) == 0 {
		return ""
	}
	s := fmt.Sprint(pids[:min(len(pids), 10)])
	return " (" + strings.Trim(s, "[]") + ")"
}

// judge says how the command went.
func (r *running) judge(ctx context.Context, cut string) (runner.Outcome, *runner.Problem) {
	ps := r.cmd.ProcessState
	if ps == nil {
		return runner.Failed, r.problem("it is not known how it ended", "run it again")
	}
	r.item.Exit(ps.ExitCode())
	const killed = 128 + 9 // as a shell says of a program
	oom := r.group.oomKills(ps.ExitCode() == -1 || ps.ExitCode() == killed) > 0
	how := ended(ps, oom, r.job.config.Memory)
	switch {
	case cut != "":
		if how == "" {
			how = "exit status 0"
		}
		reason := context.Cause(ctx).Error()
		return runner.Interrupted, r.problem(fmt.Sprintf("%s; %s (%s)", reason, cut, how), "")
	case how != "":
		return runner.Failed, r.problem(how, advice(ps, oom, r.out.lastLines() == ""))
	case oom:
		r.rec.Warn(runner.Problem{Item: r.job.env.Job, Reason: "one of its processes was killed (out of memory), and it succeeded all the same", Fix: "see that it did all its work; give it more memory"})
	}
	return runner.Done, nil
}

// problem is what went wrong, with the command's last words.
func (r *running) problem(reason, fix string) *runner.Problem {
	return &runner.Problem{Reason: reason, Fix: fix, Output: r.out.lastLines()}
}
