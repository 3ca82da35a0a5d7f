package push

import (
	"fmt"
	"regexp"
	"strings"
)

// An outcome is how an attempt ended, as far as what follows is concerned.
type outcome int

const (
	whole   outcome = iota
	partial         // all that could be sent is there; some of it could not
	failed          // trying again would not help
	later           // the window is not open (any more), or the link was cut
)

// https://download.samba.org/pub/rsync/rsync.1#EXIT_VALUES
const (
	rsyncOK        = 0
	rsyncFileIO    = 11
	rsyncPartial   = 23
	rsyncVanished  = 24
	rsyncMaxDelete = 25
	sshFailed      = 255
)

// cuts are rsync's codes for a connection that was lost: socket I/O, protocol
// data stream, signals on either side, timeouts.
var cuts = map[int]bool{10: true, 12: true, 19: true, 20: true, 30: true, 35: true, sshFailed: true}

// judge says what rsync's, or ssh's, exit code and standard error mean; why is
// for people, "" when all is well.
func (c *Config) judge(code int, stderr string) (o outcome, why string) {
	said := serverSays.FindStringSubmatch(stderr)
	switch {
	case code == rsyncOK || code == rsyncVanished:
		return whole, ""
	case strings.Contains(stderr, "Host key verification failed") || strings.Contains(stderr, "REMOTE HOST IDENTIFICATION HAS CHANGED"):
		return failed, fmt.Sprintf("the machine at this address has %s, which is not that of %s, and nothing was sent to it: if the address is right and somebody has made a new key, put what aws ssm get-parameter --name /%[2]s/host-key.pub says into host_key", strings.TrimSpace("the key "+fingerprint.FindString(stderr)), c.Deployment)
	case badKey.MatchString(stderr):
		return failed, fmt.Sprintf("ssh cannot use the key in %s: %s", c.Key, strings.TrimSpace(badKey.FindString(stderr)))
	case strings.Contains(stderr, "Permission denied (publickey") || strings.Contains(stderr, "Too many authentication failures"):
		return failed, fmt.Sprintf("the receiver does not know the key in %s as one of the host %s: put its public half into the receiver's config, and mayfly deploy", c.Key, c.Host)
	case said != nil && busy.MatchString(said[1]):
		return later, said[1]
	case code == rsyncFileIO || strings.Contains(stderr, "No space left on device"):
		return failed, "the receiver's volume is full: write a larger size: into its config, and mayfly deploy"
	case code == rsyncMaxDelete:
		return partial, fmt.Sprintf("more than %d files are gone here, and max_delete has kept the rest of them at the receiver: look whether the source is what it should be; then mayfly push --max-delete N lets them go", c.maxDelete())
	case code == rsyncPartial:
		return partial, "some files could not be sent; rsync has named them"
	case said != nil && !cutByServer.MatchString(said[1]):
		return failed, "the receiver says: " + said[1]
	case notOpen.MatchString(stderr):
		return later, "the window is not open, or this machine's address is not in listen.from: " + strings.TrimPrefix(notOpen.FindString(stderr), "ssh: ")
	case cuts[code]:
		return later, lastLine(stderr)
	}
	return failed, fmt.Sprintf("rsync ended with code %d: %s", code, lastLine(stderr))
}

var (
	serverSays = regexp.MustCompile(`(?m)^mayfly: (.+?)\r?$`)
	// busy is a session of this host's that the receiver has not given up yet,
	// as after a cut.
	busy = regexp.MustCompile(`^another session |SFTP sessions of .* are running|is still running|cannot take this now`)
	// cutByServer is a session that the receiver has ended, or does not begin
	// any more.
	cutByServer = regexp.MustCompile(`^(every host has finished|the window is over|the server ended|stopped|the connection was lost|nothing was sent for)`)
	notOpen     = regexp.MustCompile(`ssh: (connect to host .*|Could not resolve hostname .*)`)
	fingerprint = regexp.MustCompile(`SHA256:[A-Za-z0-9+/]+`)
	// login is ssh's failure to log in, after which rsync ends with 255 or 12.
	login  = regexp.MustCompile(`Host key verification failed|Permission denied \(publickey|Too many authentication failures|ssh: (connect to host|Could not resolve hostname) `)
	badKey = regexp.MustCompile(`UNPROTECTED PRIVATE KEY FILE|Load key .*|Identity file .* not accessible.*`)
	// closes is a receiver that takes nothing more this time.
	closes = regexp.MustCompile(`(?m)^mayfly: (every host has finished|the window is over|the server ended|stopped)`)
	// unknownWord is what a receiver says that knows done alone.
	unknownWord = regexp.MustCompile(`: (begin|done) is not run here`)
)

// lastLine is the last thing that was said, without rsync's own summary.
func lastLine(text string) string {
	last := ""
	for l := range strings.Lines(text) {
		l = strings.TrimSpace(l)
		if l != "" && (last == "" || !strings.HasPrefix(l, "rsync error:")) {
			last = l
		}
	}
	return last
}
