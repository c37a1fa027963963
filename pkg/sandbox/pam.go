package sandbox

import (
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/kernel"
	"github.com/muster-init/muster/pkg/spawn"
)

// openPAM turns this process into muster-pam, which opens the session of
// PAMName= and executes this image again. Sessions belong to a pid, so the
// helper can't be a child; and PAM is a C library, so it can't be part of a
// static program. The rest of the plan, with the identity, the environment and
// the limits that modules may change, goes along in a memory file.
func openPAM(r *run) *plan.Failure {
	p := r.p
	fail := func(path string, err error) *plan.Failure { return failed(plan.ExitPAM, "PAMName", path, err) }
	if p.Identity == nil || p.Identity.Name == "" {
		return fail(p.User, errNoEntry)
	}
	image, err := unix.Open("/proc/self/exe", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fail("/proc/self/exe", err)
	}
	p.PAM.Image = int32(image)
	p.PAM.TTY = p.TTY.Path
	if p.PAM.TTY == "" {
		p.PAM.TTY = terminalName(0)
	}
	fd, err := spawn.PlanFile(p)
	if err != nil {
		return fail("plan", err)
	}
	l := &r.list
	l.Reset()
	for _, keep := range append([]int32{int32(fd), int32(image), p.StatusFD}, p.FDs...) {
		if keep >= 0 {
			l.KeepFD(plan.ExitPAM, int(keep))
		}
	}
	l.Exec(plan.ExitPAM, p.PAM.Helper, []string{executorName(p), strconv.Itoa(fd)}, []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"})
	res, err := kernel.RunInPlace(l)
	if err == nil {
		err = res.Errno
	}
	return fail(p.PAM.Helper, err)
}

// executorName is what ps shows until the program is executed.
func executorName(p *plan.Plan) string {
	path := p.Paths[0]
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '/' {
			path = path[i+1:]
			break
		}
	}
	return "(" + path + ")"
}

// terminalName is the path of the terminal behind fd, "" if it is none.
func terminalName(fd int) string {
	if _, err := unix.IoctlGetTermios(fd, unix.TCGETS); err != nil {
		return ""
	}
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlink("/proc/self/fd/"+strconv.Itoa(fd), buf)
	if err != nil {
		return ""
	}
	return string(buf[:n])
}
