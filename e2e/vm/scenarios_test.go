//go:build e2evm

package vm

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"mayfly/internal/awstest"
	"mayfly/internal/imdstest"
)

// confined is a command that looks what it can reach, and leaves a daemon.
const confined = `  - name: task
    command:
      artifacts: out
      memory: 64MiB
      secret_files: {token: "ssm:` + parameter + `"}
      run: |
        exec >out/said 2>&1
        id -u; id -G
        grep -E 'CapEff|NoNewPrivs' /proc/self/status
        group=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)
        echo $group limits $(cat $group/memory.max $group/pids.max)
        echo $(stat -c %a $MAYFLY_SECRETS/token) $(cat $MAYFLY_SECRETS/token)
        curl -sS -m 3 http://169.254.169.254/latest/meta-data/ || echo no metadata
        cat /run/mayfly/config.yaml || echo no config
        cat /var/lib/cloud/instance/user-data.txt || echo no user data
        systemd-run --wait true || echo no service
        loginctl enable-linger || echo no lingering
        setsid sleep 100000 &
`

// The main one: all goes well.
func TestRun(t *testing.T) {
	var script first
	w, _ := scenario{
		early: func(w *world, m *machine) {
			// cloud-init has all it wants by then: who asks for a session now is
			// the boot script.
			m.waitFor("modules:final")
			for n := w.imds.Calls()[imdstest.TokenPath]; w.imds.Calls()[imdstest.TokenPath] == n && m.on(); {
				time.Sleep(10 * time.Millisecond)
			}
			script.now()
		},
		jobs:     confined,
		subjects: []string{"complete"}, says: []string{"2 repositories", "task     1 command: 1 done", "a process that it had left running ended with it: sleep"},
	}.live(t)
	_, said := w.object("deep/task/", "/said")
	for _, want := range []string{
		"60660\n60660\n", "CapEff:\t0000000000000000\n", "NoNewPrivs:\t1\n", "/mayfly-", "400 " + token + "\n",
		"no metadata\n", "no config\n", "no user data\n", "no service\n", "no lingering\n", "limits 67108864 2048\n",
	} {
		if !strings.Contains(string(said), want) {
			t.Errorf("the confined command does not say %q:\n%s", want, said)
		}
	}
	for _, repo := range []string{"hello", "photos"} {
		key, segment := w.object("deep/github/"+owner+"/"+repo+"/", "/0000-full.zip")
		if key == "" || !bytes.HasPrefix(segment, []byte("PK")) {
			t.Errorf("there is no segment of %s in the bucket: %q", repo, w.objects())
		}
	}
	whole, fetch := w.asked.when().Sub(script.when()), w.s3.fetched()
	t.Logf("from the boot script's first request to the first job's: %.1f s, %.1f s of which fetch the program", whole.Seconds(), fetch.Seconds())
}

// Whatever goes wrong, the machine ends itself in time and says why.
func TestFaults(t *testing.T) {
	for name, sc := range faults() {
		t.Run(name, func(t *testing.T) { sc.live(t) })
	}
}

func faults() map[string]scenario {
	sleeper := []byte("#!/bin/sh\ntrap '' TERM\nsleep 1000000\n")
	return map[string]scenario{
		"no binary": {
			plain:    true,
			before:   func(w *world) { w.remove(w.admin("mayfly-")) },
			says:     []string{"fetch mayfly: HTTP 404"},
			subjects: []string{"failed before the run"},
		},
		"wrong checksum": {
			before:   func(w *world) { w.put(w.admin("mayfly-"), []byte("not what was pinned")) },
			says:     []string{"fetch mayfly: wrong checksum"},
			subjects: []string{"failed before the run"},
		},
		"config does not parse": {
			config:   "name: [vm\n",
			subjects: []string{"failed"},
		},
		"binary hangs": {
			program: sleeper, subjects: []string{"cut off"}, says: []string{"watchdog"},
		},
		"run is killed": {
			middle:   do("systemctl kill --signal=KILL mayfly.service"),
			subjects: []string{"cut off"}, says: []string{"signal", "KILL"},
		},
		"run is stopped": {
			middle:   do("systemctl kill --signal=STOP mayfly.service"),
			subjects: []string{"cut off"}, says: []string{"watchdog"},
		},
		"job hangs": {
			middle:   func(*world, *machine) {},
			subjects: []string{"interrupted"}, says: []string{"the deadline of the run was reached"},
		},
		"interruption notice": {
			middle: func(w *world, _ *machine) {
				w.imds.Change(func(s *imdstest.State) { s.Action, s.ActionTime = "terminate", time.Now().Add(2*time.Minute) })
			},
			subjects: []string{"interrupted"},
		},
		"reboot": {
			middle: do("systemctl reboot"), reboots: 1,
			subjects: []string{"interrupted", "failed before the run"}, says: []string{"started a second time"},
		},
		"reset": {
			middle: do("echo b >/proc/sysrq-trigger"), reboots: 1,
			subjects: []string{"failed before the run"}, says: []string{"started a second time"},
		},
		"metadata is down": {
			early: func(w *world, m *machine) {
				m.waitFor("modules:config")
				w.imds.SetFault("", imdstest.Fault{Reset: true})
			},
			suspended: true, stays: true, says: []string{"instance metadata does not answer"},
		},
		"group is throttled": {
			before:    fault("autoscaling:TerminateInstanceInAutoScalingGroup", awstest.Fault{Status: 400, Code: "Throttling", Text: "Rate exceeded"}),
			suspended: true, stays: true, subjects: []string{"complete"}, says: []string{"Throttling"},
		},
		"group is denied": {
			before:    fault("autoscaling:TerminateInstanceInAutoScalingGroup", awstest.Fault{Status: 403, Code: "AccessDenied", Text: "not authorized"}),
			suspended: true, stays: true, subjects: []string{"complete"}, says: []string{"AccessDenied"},
		},
		"group is silent": {
			before:    fault("autoscaling:TerminateInstanceInAutoScalingGroup", awstest.Fault{Hang: true}),
			suspended: true, stays: true, subjects: []string{"complete"}, says: []string{"leave the Auto Scaling group"},
		},
		"topic is down": {
			before: fault("sns:Publish", awstest.Fault{Status: 503, Code: "ServiceUnavailable", Text: "down"}),
			says:   []string{"2 repositories", "this report could not be sent"},
		},
		"topic is silent": {
			before: fault("sns:Publish", awstest.Fault{Hang: true}),
			says:   []string{"2 repositories", "this report could not be sent"},
		},
		// Nothing of ours is at work any more but what was armed first.
		"boot script is stopped": {
			before: func(w *world) { w.s3.fail("silent") },
			early: func(w *world, m *machine) {
				for w.s3.asked.when().IsZero() && m.on() {
					time.Sleep(100 * time.Millisecond)
				}
				w.agent.do("systemctl kill --signal=STOP cloud-final.service")
			},
			suspended: true, stays: true, late: true, says: []string{"mayfly-deadline"},
		},
		"store is down": {
			before:   func(w *world) { w.s3.fail("down") },
			subjects: []string{"failed before the run"}, says: []string{"fetch mayfly"},
		},
		"store goes silent": {
			middle:   func(w *world, _ *machine) { w.s3.fail("silent") },
			subjects: []string{"vm"},
		},
		"store goes down": {
			middle:   func(w *world, _ *machine) { w.s3.fail("down") },
			subjects: []string{"vm"},
		},
	}
}

func fault(action string, f awstest.Fault) func(*world) {
	return func(w *world) { w.aws.SetFault(action, f) }
}

// do does something in the machine.
func do(what string) func(*world, *machine) {
	return func(w *world, _ *machine) { w.agent.do(what) }
}
