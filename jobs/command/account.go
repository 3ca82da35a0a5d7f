package command

import (
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"mayfly/runner"
)

// sandboxID is the user and group that a command runs as on an instance when
// none is named: one that nothing else on the machine has. systemd's list of
// ranges leaves it free (https://systemd.io/UIDS-GIDS/).
const sandboxID = 60660

// An account is whom a command runs as.
type account struct {
	uid, gid   int
	groups     []int  // beyond gid
	name, home string // home "" where there is none
	shell      string
	own        bool // mayfly's own: nothing is changed
}

// powerful are groups whose members can become root on the systems that mayfly
// boots on, or read its disk.
var powerful = []string{"root", "sudo", "wheel", "admin", "adm", "disk", "docker", "lxd", "libvirt", "kvm", "shadow", "systemd-journal"}

// account finds out whom the command runs as. confined says that it must not
// be able to become anybody else.
func (j *job) account(confined bool) (account, *runner.Problem) {
	self := os.Geteuid()
	name := j.config.User
	if name == "" && !confined {
		return ownAccount(self, j.env.Getenv), nil
	}
	if name == "" {
		if u, err := user.LookupId(strconv.Itoa(sandboxID)); err == nil {
			return account{}, &runner.Problem{
				Reason: fmt.Sprintf("the user number %d, which commands have on an instance, is %s here", sandboxID, u.Username),
				Fix:    "name another under user",
			}
		}
		return account{uid: sandboxID, gid: sandboxID, name: "mayfly", shell: defaultShell}, nil
	}
	u, err := lookup(name)
	if err != nil {
		return account{}, &runner.Problem{
			Reason: fmt.Sprintf("there is no user %s on this machine", name), Fix: "name one that is there, or remove user",
		}
	}
	a := account{name: u.Username, home: u.HomeDir, shell: defaultShell}
	if a.uid, err = strconv.Atoi(u.Uid); err == nil {
		a.gid, err = strconv.Atoi(u.Gid)
	}
	if err != nil {
		return account{}, &runner.Problem{Reason: fmt.Sprintf("the user %s cannot be taken on: commands run on Linux and macOS", name), Fix: "remove user"}
	}
	if confined && a.uid == 0 {
		return account{}, &runner.Problem{
			Reason: fmt.Sprintf("%s is root by another name, which can always reach the instance's credentials", name),
			Fix:    "add aws: true to let the command have them, or name another user",
		}
	}
	if a.uid == self {
		own := ownAccount(self, j.env.Getenv)
		own.home = u.HomeDir
		return own, nil
	}
	if self != 0 {
		return account{}, &runner.Problem{
			Reason: fmt.Sprintf("only root can run a command as %s", name), Fix: "run mayfly as root, or remove user",
		}
	}
	member, groups := groupsOf(u)
	if !confined {
		a.groups = groups
		return a, nil
	}
	for _, g := range member {
		if slices.Contains(powerful, g) {
			return account{}, &runner.Problem{
				Reason: fmt.Sprintf("%s is in the group %s and could become root, which can always reach the instance's credentials", name, g),
				Fix:    "name another user, or add aws: true to let the command have them",
			}
		}
	}
	return a, nil
}

// lookup finds a user by name or number.
func lookup(name string) (*user.User, error) {
	if _, err := strconv.Atoi(name); err == nil {
		return user.LookupId(name)
	}
	return user.Lookup(name)
}

// groupsOf are the groups of a user, by name and by number.
func groupsOf(u *user.User) (names []string, ids []int) {
	list, err := u.GroupIds()
	if err != nil {
		return nil, nil
	}
	for _, id := range list {
		if n, err := strconv.Atoi(id); err == nil {
			ids = append(ids, n)
		}
		if g, err := user.LookupGroupId(id); err == nil {
			names = append(names, g.Name)
		}
	}
	return names, ids
}

// ownAccount is whoever runs mayfly.
func ownAccount(uid int, getenv func(string) string) account {
	a := account{uid: uid, gid: os.Getegid(), own: true, home: getenv("HOME"), shell: getenv("SHELL")}
	if a.name = getenv("USER"); a.name == "" {
		a.name = getenv("LOGNAME")
	}
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		a.name = u.Username
		if a.home == "" {
			a.home = u.HomeDir
		}
	}
	if !strings.HasPrefix(a.shell, "/") {
		a.shell = defaultShell
	}
	return a
}

// String is for people.
func (a account) String() string {
	if a.uid == sandboxID {
		return fmt.Sprintf("an unprivileged user (number %d)", a.uid)
	}
	if a.name == "" {
		return fmt.Sprintf("user number %d", a.uid)
	}
	return a.name
}
