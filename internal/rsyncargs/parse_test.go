package rsyncargs

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

var (
	pushes = Policy{Root: "/mnt/c", Dir: "/data"}
	pulls  = Policy{Root: "/mnt/c", Dir: "/data", Pull: true}
	adds   = Policy{Root: "/mnt/c", Dir: "/data", Pull: true, AppendOnly: true, Scratch: "/data/.in"}
)

// show is a command on one line: options, then paths, patterns in braces.
func show(c *Command) string {
	s := append([]string{}, c.Options...)
	s = append(s, "|")
	for _, p := range c.Paths {
		if p.Pattern != "" {
			s = append(s, "{"+p.Pattern+"}")
			continue
		}
		s = append(s, p.Name)
	}
	return strings.Join(s, " ")
}

// What stock clients were seen to send, and what of it runs.
func TestTakes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		policy     Policy
		line, want string
	}{
		{pushes, `rsync --server -vlogDtprze.iLsfxCIvu --bwlimit=1000 --delete --partial . /mnt/c/`, "--server -vlogDtprze.iLsfxCIvu --bwlimit=1000 --delete --partial | ."},
		{pushes, `rsync --server -vvlogDtprHAXXSe.iLsfxCIvu --force --numeric-ids --fake-super . etc/`, "--server -vvlogDtprHAXXSe.iLsfxCIvu --force --numeric-ids --fake-super | etc/"},
		{pushes, `rsync --server -logDtpre.LsfxCIvu . my\ dir/with\ \'quotes\'\ \&\ \$all\;`, "--server -logDtpre.LsfxCIvu | my dir/with 'quotes' & $all;"},
		{pushes, `rsync --server -logDtpre.iLsf . ~/x`, "--server -logDtpre.iLsf | x"},
		{pushes, `rsync --server -logDtpre.iLsf . \~/x`, "--server -logDtpre.iLsf | ~/x"},
		{pushes, `rsync --server -logDtpre.iLsf . ~`, "--server -logDtpre.iLsf | ."},
		{pushes, `rsync --server -logDtpre.iLsf . "a b"'c d'`, "--server -logDtpre.iLsf | a bc d"},
		{pushes, `rsync --server -logDtpre.iLsf . `, "--server -logDtpre.iLsf | ."},
		{pushes, `rsync --server -logDtpre.iLsf . a//./b/.`, "--server -logDtpre.iLsf | a/./b/."},
		{pushes, `rsync --server -logDtpre.iLsf . -rf`, "--server -logDtpre.iLsf | -rf"},
		{pushes, `rsync --server -logDtpre.iLsf . a*b`, "--server -logDtpre.iLsf | a*b"},
		{pushes, `rsync --server -logDtpre.iLsf --partial-dir .part --backup-dir /mnt/c/old -B8192 -@-1 . new/`, "--server -logDtpre.iLsf -B8192 -@-1 --partial-dir=.part --backup-dir=/data/old | new/"},
		{pushes, `rsync --server -logDtpre.iLsf --link-dest ../monday --link-dest /mnt/c/b/sunday . b/tuesday`, "--server -logDtpre.iLsf --link-dest=../monday --link-dest=/data/b/sunday | b/tuesday"},
		{pushes, `rsync --server -ne.iLsf --log-format=%i --usermap=*:backup --info=progress2,stats2 --compress-choice=zstd --max-size=1.5G --suffix=~ . x`, "--server -ne.iLsf --log-format=%i --usermap=*:backup --info=progress2,stats2 --compress-choice=zstd --max-size=1.5G --suffix=~ | x"},
		{pulls, `rsync --server --sender -vlogDtpre.iLsfxCIvu . etc/ /mnt/c/home/a\ b`, "--server --sender -vlogDtpre.iLsfxCIvu | etc/ home/a b"},
		{pulls, `rsync --server --sender -vlogDtpre.iLsfxCIvu . dump/*.sql \*lit\[eral] [ab]?`, `--server --sender -vlogDtpre.iLsfxCIvu | {dump/*.sql} *lit[eral] {[ab]?}`},
		{pulls, `rsync --server --sender -logDtpre.iLsf --files-from=- --from0 .`, "--server --sender -logDtpre.iLsf --files-from=- --from0 | ."},
		{adds, `rsync --server -vlogDtpre.iLsfxCIvu --partial --link-dest ../a . b`, "--server -vlogDtpre.iLsfxCIvu --link-dest=../a --ignore-existing --temp-dir=/data/.in | b"},
		{adds, `rsync --server -nlogDtpre.iLsfxCIvu . b`, "--server -nlogDtpre.iLsfxCIvu --ignore-existing | b"},
		{adds, `rsync --server --sender -vlogDtpre.iLsfxCIvu . b`, "--server --sender -vlogDtpre.iLsfxCIvu | b"},
	} {
		got, err := Parse(c.line, c.policy, nil)
		if err != nil {
			t.Errorf("%s: %v", c.line, err)
			continue
		}
		if s := show(got); s != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.line, s, c.want)
		}
		if got.Push != !strings.Contains(c.line, "--sender") {
			t.Errorf("%s: push is %t", c.line, got.Push)
		}
		if got.DryRun != strings.Contains(c.line, " -n") {
			t.Errorf("%s: dry run is %t", c.line, got.DryRun)
		}
	}
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	const o = "rsync --server -logDtpre.iLsf "
	for _, c := range []struct {
		policy     Policy
		line, want string
	}{
		{pushes, "rsync", "leave --rsync-path away"},
		{pushes, "rsync --daemon", "leave --rsync-path away"},
		{pushes, "rsync --version", "leave --rsync-path away"},
		{pushes, "sudo rsync --server . x", "leave --rsync-path away"},
		{pushes, "/usr/bin/rsync --server . x", "leave --rsync-path away"},
		{pushes, "rsync --server --sender -e.iLsf . x", "pull: true"},
		{pushes, "rsync --server --daemon .", "no rsync daemon"},
		{pushes, o + "--sender . x", "may say --sender"},
		{pulls, o + "--server . x", "may stand there once"},
		{pulls, "rsync --server --sender -Le.iLsf . x", "follows links"},
		{pulls, "rsync --server --sender -ke.iLsf . x", "follows links"},
		{pushes, "rsync --server -Ke.iLsf . x", "follows links"},
		{pulls, "rsync --server --sender -e.iLsf --copy-unsafe-links . x", "follows links"},
		{pulls, "rsync --server --sender -e.iLsf --remove-source-files . x", "in this direction"},
		{pushes, o + "--log-file=x . x", "mayfly's"},
		{pushes, o + "--files-from x . x", "in this direction"},
		{pushes, o + "--files-from=- . x", "in this direction"},
		{pulls, "rsync --server --sender -e.iLsf --files-from=/etc/x . x", "on the server"},
		{pushes, o + "--write-devices . x", "devices"},
		{pushes, o + "--rsh=sh . x", "not allowed"},
		{pushes, o + "--config=/x . x", "not allowed"},
		{pushes, o + "--rsync-path=x . x", "not allowed"},
		{pushes, o + "--confine-root=/ . x", "not allowed"},
		{pushes, o + "--insecure-links . x", "not allowed"},
		{pushes, o + "--delete=yes . x", "takes no value"},
		{pushes, o + "--bwlimit=$(id) . x", "only a shell"},
		{pushes, o + "--bwlimit=x/y . x", "value of --bwlimit"},
		{pushes, o + "--bwlimit", "lacks its value"},
		{pushes, o + "--log-format=%f . x", "value of --log-format"},
		{pushes, o + "-M--x . x", "not allowed"},
		{pushes, o + "-e sh . x", "not allowed"},
		{pushes, o + "-esh . x", "not allowed"},
		{pushes, o + "-T/tmp . x", "not allowed"},
		{pushes, o + "- . x", "not allowed"},
		{pushes, o + "x . x", "not allowed"},
		{pushes, o + "x", "not allowed"},
		{pushes, o, "no '.'"},
		{pushes, o + ". a b", "one destination"},
		{pushes, o + ". /etc", "outside"},
		{pushes, o + ". /", "outside"},
		{pushes, o + ". /mnt/cc", "outside"},
		{pushes, o + ". /mnt/c/../d", "'..'"},
		{pushes, o + ". ../d", "'..'"},
		{pushes, o + ". a/../../d", "'..'"},
		{pushes, o + ". a/..", "'..'"},
		{pushes, o + ". ~root/x", "another user"},
		{pulls, "rsync --server --sender -e.iLsf . ok /etc/passwd", "outside"},
		{pulls, "rsync --server --sender -e.iLsf . ../*", "'..'"},
		{pulls, "rsync --server --sender -e.iLsf . /*", "outside"},
		{pushes, o + "--link-dest ../x . .", "seen from the destination"},
		{pushes, o + "--link-dest ../../x . a", "seen from the destination"},
		{pushes, o + "--link-dest /etc . a", "outside"},
		{pushes, o + "--backup-dir /mnt/c/../d . a", "outside"},
		{pushes, o + "--partial-dir /tmp . a", "outside"},
		{pushes, o + "--temp-dir= . a", "empty"},
		{pushes, o + ". a\nb", "newline"},
		{pushes, o + ". a\x00b", "NUL"},
		{pushes, o + ". a; id", "only a shell"},
		{pushes, o + ". `id`", "only a shell"},
		{pushes, o + `. "$HOME"`, "only a shell"},
		{pushes, o + ". 'a", "inside quotes"},
		{pushes, o + `. a\`, "backslash"},
		{pushes, o + ". " + strings.Repeat("x", 5000), "bytes"},
		{pushes, o + ". " + strings.Repeat("x", 70000), "at most"},
		{pulls, "rsync --server --sender -e.iLsf . " + strings.Repeat("x ", 1200), "more than 1000"},
		{adds, o + "--delete . x", "append_only"},
		{adds, o + "--delete-after . x", "append_only"},
		{adds, o + "--delete-missing-args . x", "append_only"},
		{adds, o + "--force . x", "append_only"},
		{adds, o + "--inplace . x", "append_only"},
		{adds, o + "--append . x", "append_only"},
		{adds, o + "--backup-dir x . x", "append_only"},
		{adds, o + "--partial-dir x . x", "append_only"},
		{adds, o + "--delay-updates . x", "append_only"},
		{adds, o + "--temp-dir x . x", "append_only"},
		{adds, "rsync --server -blogDtpre.iLsf . x", "append_only"},
	} {
		got, err := Parse(c.line, c.policy, nil)
		if err == nil {
			t.Errorf("%.200s: taken as %s", c.line, show(got))
			continue
		}
		var r *Refusal
		if !errors.As(err, &r) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.200s: %v; want %q", c.line, err, c.want)
		}
	}
}

func TestSecluded(t *testing.T) {
	t.Parallel()
	more := func(sent string) func() ([]string, error) {
		return func() ([]string, error) { return ReadSecluded(strings.NewReader(sent)) }
	}
	line := "rsync --server -svlogDtpre.iLsfxCIvu"
	c, err := Parse(line, pushes, more("rsync\x00--delete\x00--link-dest\x00../b\x00.\x00it's; a $dir/x\x00\x00rest"))
	if err != nil {
		t.Fatal(err)
	}
	if got := show(c); got != "--server -vlogDtpre.iLsfxCIvu --delete --link-dest=../b | it's; a $dir/x" {
		t.Error(got)
	}
	for sent, want := range map[string]string{
		"rsync\x00.\x00../x\x00\x00":                "'..'",
		"rsync\x00--daemon\x00.\x00x\x00\x00":       "daemon",
		"rsync\x00.\x00a\nb\x00\x00":                "newline",
		"rsync\x00.\x00x":                           "leave -s away",
		"\x00":                                      "there are none",
		strings.Repeat("x", 1<<17):                  "too long",
		"rsync\x00" + strings.Repeat("x\x00", 2000): "too many",
	} {
		if _, err := Parse(line, pushes, more(sent)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v; want %q", sent, err, want)
		}
	}
	r := bytes.NewReader([]byte("rsync\x00.\x00\x00PROTOCOL"))
	if _, err := ReadSecluded(r); err != nil || r.Len() != len("PROTOCOL") {
		t.Errorf("%d bytes left, %v", r.Len(), err)
	}
}

// What changes nothing is told from a push; and an rsync from before 3.0, which
// does not say here which files it could not send, from one that does.
func TestParseKinds(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]Command{
		"rsync --server -logDtpre.iLsfxCIvu . x":                      {Push: true},
		"rsync --server -nlogDtpre.iLsfxCIvu . x":                     {Push: true, DryRun: true},
		"rsync --server -logDtpre.iLsfxCIvu --only-write-batch=X . x": {Push: true, DryRun: true},
		"rsync --server -logDtpr . x":                                 {Push: true, Old: true},
		"rsync --server -logDtpr --delete --numeric-ids . x":          {Push: true, Old: true},
		"rsync --server -ve.iLsf -logDtpr . x":                        {Push: true},
		"rsync --server --sender -logDtpr . x":                        {Old: true},
	} {
		c, err := Parse(line, Policy{Pull: true}, nil)
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		if c.Push != want.Push || c.DryRun != want.DryRun || c.Old != want.Old {
			t.Errorf("%s: %+v", line, c)
		}
	}
}
