package sandbox

import (
	"strconv"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/spawn"
)

// dynamicUser gives a DynamicUser= service its user: the static one of that
// name if there is one, otherwise a number of its own that stays taken until
// the manager releases it.
func dynamicUser(p *plan.Plan) *plan.Failure {
	if e, err := lookupUser(p.User); err == nil {
		p.Identity = &plan.Identity{Name: e.name, UID: e.uid, GID: e.gid, Home: e.home, Shell: e.shell, HasUID: true}
		return nil
	}
	if _, err := strconv.ParseUint(p.User, 10, 32); err == nil {
		return failed(plan.ExitUser, "User", p.User, errNoEntry)
	}
	uid, err := spawn.AllocateDynamicUser(p.User, uidTaken)
	if err != nil {
		return failed(plan.ExitUser, "DynamicUser", p.User, err)
	}
	p.Identity = &plan.Identity{Name: p.User, UID: uid, GID: uid, Home: "/", Shell: "/usr/sbin/nologin", HasUID: true}
	return nil
}

// uidTaken says whether a number belongs to a user or a group of the files.
func uidTaken(uid uint32) bool {
	n := strconv.FormatUint(uint64(uid), 10)
	if text, err := readFile("/etc/passwd", maxNameFile); err == nil {
		if _, ok := findUser(string(text), n); ok {
			return true
		}
	}
	return false
}
