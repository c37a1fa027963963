package cgroup

import (
	"errors"
	"fmt"
	"strings"

	"github.com/muster-init/muster/pkg/kernel"
	"golang.org/x/sys/unix"
)

// Mode is which hierarchy there is.
type Mode int

// The modes. In hybrid mode cgroup2 is at /sys/fs/cgroup/unified/ and the
// controllers belong to version 1; it is used for tracking, without limits.
const (
	ModeNone Mode = iota
	ModeUnified
	ModeHybrid
)

// String is the mode in lower case.
func (m Mode) String() string { return [...]string{"none", "unified", "hybrid"}[m] }

// Status is what was found about the hierarchy.
type Status struct {
	Mode Mode
	// Mount is where cgroup2 is mounted, Base the manager's own root below it
	// as /proc/PID/cgroup shows it ("" for the top).
	Mount, Base string
	// Writable: groups can be made below Base.
	Writable bool
	// Controllers are those available at Base.
	Controllers Mask
	// Reason says in one sentence what is missing, "" if nothing is.
	Reason string
}

// mounts are the places tried, in order.
var mounts = []struct {
	path string
	mode Mode
}{
	{"/sys/fs/cgroup", ModeUnified},
	{"/sys/fs/cgroup/unified", ModeHybrid},
}

// Detect looks for cgroup2 at the usual places and finds the calling process's
// own group; a trailing "/init.scope" is the manager's own leaf and not part of
// Base.
func Detect() Status {
	for _, m := range mounts {
		if !isCgroup2(m.path) {
			continue
		}
		s := Status{Mode: m.mode, Mount: m.path}
		base, err := PathOfPid(0)
		if err != nil {
			s.Reason = "the manager's own control group is unknown: " + err.Error()
			return s
		}
		s.Base = clean(strings.TrimSuffix(base, "/init.scope"))
		s.probe()
		return s
	}
	return Status{Reason: "no cgroup2 file system is mounted at /sys/fs/cgroup/ or /sys/fs/cgroup/unified/"}
}

func isCgroup2(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && int64(st.Type) == unix.CGROUP2_SUPER_MAGIC
}

// probe fills in what can be done below Mount and Base.
func (s *Status) probe() {
	dir := s.Mount + "/" + s.Base
	if b, err := kernel.ReadKernelFile(dir+"/cgroup.controllers", 4096); err == nil {
		s.Controllers = ParseMask(string(b))
	} else {
		s.Reason = "the manager's own control group cannot be read: " + err.Error()
		return
	}
	var st unix.Statfs_t
	switch err := unix.Statfs(dir, &st); {
	case err != nil:
		s.Reason = fmt.Sprintf("%s: %v", dir, err)
		return
	case st.Flags&unix.ST_RDONLY != 0:
		s.Reason = s.Mount + " is mounted read-only"
		return
	}
	if err := unix.Access(dir, unix.W_OK); err != nil {
		s.Reason = fmt.Sprintf("no groups can be made in %s: %v", dir, err)
		return
	}
	s.Writable = true
	switch {
	case s.Mode == ModeHybrid:
		s.Reason = "controllers are mounted as cgroup version 1: no limits and no accounting"
	case s.Controllers == 0:
		s.Reason = "no controllers are available in " + dir
	}
}

// ErrNoTree is returned by [Open] where there is no cgroup2 to work with.
var ErrNoTree = errors.New("no usable cgroup2 hierarchy")

// PathOfPid is the cgroup2 path of a process as our cgroup namespace sees it,
// with a leading slash; pid 0 is ourselves. A path with "/../" is outside of
// our namespace. A group that was removed has " (deleted)" at the end, which is
// left out.
func PathOfPid(pid int) (string, error) {
	file := "/proc/self/cgroup"
	if pid != 0 {
		file = fmt.Sprintf("/proc/%d/cgroup", pid)
	}
	b, err := kernel.ReadKernelFile(file, 64<<10)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(b)) {
		if path, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::"); ok {
			return strings.TrimSuffix(path, " (deleted)"), nil
		}
	}
	return "", fmt.Errorf("%s: no cgroup2 entry", file)
}
