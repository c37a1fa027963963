package sandbox

import (
	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
)

// ownCgroups: ProtectControlGroups=private and strict show the unit's own
// control group as the root.
func ownCgroups(s *plan.Sandbox) bool {
	return s.ProtectControlGroups == "private" || s.ProtectControlGroups == "strict"
}

// mountCgroups mounts the hierarchy as this namespace sees it: what is above
// the unit's control group isn't in it.
func mountCgroups(target string) error { return mountNew("cgroup2", target) }

func cgroups(r *run) *plan.Failure {
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return namespaceFailure("ProtectControlGroups", "", err)
	}
	return nil
}
