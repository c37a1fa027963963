package sandbox

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/spawn"
)

// dynamicUser gives a DynamicUser= service its user: the static one of that
// name if there is one, otherwise a number of its own that stays taken until
// the manager releases it.
func dynamicUser(p *plan.Plan) *plan.Failure {
	e, err := lookupUser(p.User)
	if err != nil && err != errNoEntry { // there may be one
		return failed(plan.ExitUser, "User", p.User, err)
	}
	if err == nil {
		p.Identity = &plan.Identity{Name: e.name, UID: e.uid, GID: e.gid, Home: e.home, Shell: e.shell, HasUID: true}
		return nil
	}
	if _, err := strconv.ParseUint(p.User, 10, 32); err == nil {
		return failed(plan.ExitUser, "User", p.User, errNoEntry)
	}
	uid, err := spawn.AllocateDynamicUser(p.User, ownersOf(p), uidTaken)
	if err != nil {
		return failed(plan.ExitUser, "DynamicUser", p.User, err)
	}
	p.Identity = &plan.Identity{Name: p.User, UID: uid, GID: uid, Home: "/", Shell: "/usr/sbin/nologin", HasUID: true}
	return nil
}

// dynamicGroup is the number of a Group= that is neither there nor the user's
// name: it is made up as users are.
func dynamicGroup(name string) (uint32, error) {
	gid, err := lookupGroup(name)
	if err != errNoEntry {
		return gid, err
	}
	return spawn.AllocateDynamicUser(name, nil, uidTaken)
}

// ownersOf are the owners of the directories that the service had before: with
// the same number nothing has to change owner.
func ownersOf(p *plan.Plan) []uint32 {
	var uids []uint32
	for _, d := range p.Directories {
		for _, item := range d.Items {
			var st unix.Stat_t
			if unix.Lstat(p.DirectoryPath(d.Kind, item.Path), &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
				uids = append(uids, st.Uid)
			}
		}
	}
	return uids
}

// uidTaken says whether a number belongs to a user or a group of the files, or may: nobody gets the number of somebody else because a file
// could not be read.
func uidTaken(uid uint32) bool {
	n := strconv.FormatUint(uint64(uid), 10)
	text, err := readFile("/etc/passwd", maxNameFile)
	if err != nil && err != unix.ENOENT {
		return true
	}
	if _, ok := findUser(string(text), n); ok {
		return true
	}
	if text, err = readFile("/etc/group", maxNameFile); err != nil && err != unix.ENOENT {
		return true
	}
	if err == nil {
		for line := range strings.Lines(string(text)) {
			if f := strings.Split(line, ":"); len(f) > 2 && f[2] == n {
				return true
			}
		}
	}
	return false
}
