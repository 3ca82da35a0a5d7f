package main

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"mayfly/push"
)

// What rsync says comes in whole lines; of files that vanished, which is nothing
// wrong, cron is told nothing. Without a terminal a transfer says now and then
// where it stands.
func TestPushView(t *testing.T) {
	t.Parallel()
	const vanished = "file has vanished: \"/etc/x\"\nrsync warning: some files vanished before they could be transferred (code 24) at main.c(1338) [sender=3.2.7]\n"
	const failed = "rsync: [sender] send_files failed to open \"/etc/y\": Permission denied (13)\n"
	for quiet, want := range map[bool]string{true: failed, false: vanished + failed + "/etc  2.0 kB  7 %  1MB/s\n"} {
		var out bytes.Buffer
		v := newPushView(&app{stderr: &out, quiet: quiet, getenv: func(string) string { return "" }})
		for _, b := range []byte(vanished + failed + "half a line") {
			if _, err := v.Write([]byte{b}); err != nil {
				t.Fatal(err)
			}
		}
		v.progress(push.Progress{Source: "/etc", Bytes: 1000, Share: 3, Rate: "1MB/s"})
		v.next = time.Now()
		v.progress(push.Progress{Source: "/etc", Bytes: 2000, Share: 7, Rate: "1MB/s"})
		v.end()
		if got := fmt.Sprint(&out); got != want {
			t.Errorf("quiet %v: %q", quiet, got)
		}
	}
}
