package manager

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/busapi"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/engine/mount"
	"github.com/muster-init/muster/pkg/execplan"
	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/kernel"
	"github.com/muster-init/muster/pkg/spawn"
)

// prepareMount makes the mount point of a unit on a worker.
func (m *Manager) prepareMount(e machine.PrepareMount) {
	u := m.eng.Config(e.Unit)
	if u == nil {
		m.submit(machine.MountPrepared{Token: e.Token, Message: "The unit is not loaded."})
		return
	}
	c, where := *u.GetMount(), mount.Where(u)
	limit := c.TimeoutUSec
	if limit == 0 {
		limit = slowQueryUSec
	}
	m.openSlow(e.Token, limit, machine.MountPrepared{Token: e.Token, Message: "Mount path " + where + " or what is to be mounted gives no answer."})
	queued := m.work.add(func() func() {
		problem, note := makeMountPoint(c.What, where, hasMountOption(c.Options, "bind", "rbind"), os.FileMode(c.DirectoryMode).Perm())
		return func() {
			if note != "" {
				m.log.notice(e.Unit, "%s: %s", e.Unit, note)
			}
			m.answer(e.Token, machine.MountPrepared{Token: e.Token, Message: problem})
		}
	})
	if !queued {
		m.answer(e.Token, machine.MountPrepared{Token: e.Token, Message: "The manager is too busy to make the mount point."})
	}
}

// makeMountPoint makes what has to be there: a directory, or for a bind mount of a file an empty file; for a bind mount the source as well. What can't
// be made is left to mount(8), which fails then and says why. systemd.mount(5), DirectoryMode=.
func makeMountPoint(what, where string, bind bool, mode os.FileMode) (problem, note string) {
	if real, ok := canonical(where); !ok {
		return "Mount path " + where + " is not canonical (contains a symlink).", ""
	} else if real == "" {
		return "Mount path " + where + " can't be looked up.", ""
	}
	asFile := false
	if bind && strings.HasPrefix(what, "/") {
		switch st, err := os.Stat(what); {
		case err == nil:
			asFile = !st.IsDir()
		case os.IsNotExist(err):
			_ = os.MkdirAll(what, mode)
		}
	}
	if asFile {
		_ = os.MkdirAll(filepath.Dir(where), mode)
		if fd, err := unix.Open(where, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, uint32(mode&^0o111)); err == nil {
			_ = unix.Close(fd)
		}
		return "", ""
	}
	_ = os.MkdirAll(where, mode)
	if d, err := os.Open(where); err == nil {
		defer d.Close()
		if names, _ := d.Readdirnames(1); len(names) > 0 {
			note = fmt.Sprintf("Directory %s to mount over is not empty, mounting anyway.", where)
		}
	}
	return "", note
}

// canonical reports whether no component of a path that exists is a symbolic link.
func canonical(path string) (real string, ok bool) {
	for p := filepath.Clean(path); ; p = filepath.Dir(p) {
		real, err := filepath.EvalSymlinks(p)
		if err == nil {
			return real, real == p
		}
		if !os.IsNotExist(err) {
			return "", true
		}
		if st, err := os.Lstat(p); err == nil && st.Mode()&os.ModeSymlink != 0 {
			return p, false // it leads nowhere
		}
		if p == "/" {
			return p, true
		}
	}
}

func hasMountOption(options string, names ...string) bool {
	for o := range strings.SplitSeq(options, ",") {
		for _, n := range names {
			if o == n {
				return true
			}
		}
	}
	return false
}

// sortByLength puts the longest first, and equal ones in the order of the alphabet.
func sortByLength(paths []string) {
	sort.Slice(paths, func(a, b int) bool {
		if len(paths[a]) != len(paths[b]) {
			return len(paths[a]) > len(paths[b])
		}
		return paths[a] < paths[b]
	})
}

// liveMountsMax bounds the mounts into running services that are under way: each is a process, which may hang.
const liveMountsMax = 32

// LiveMount lets an executor mount something into the view of a service's main process: what hangs holds up only that.
func (b backend) LiveMount(name string, pid int32, l busapi.LiveMount, done func(error)) {
	m := b.m
	u := m.eng.Config(name)
	if u == nil || m.liveMounts >= liveMountsMax {
		done(unix.EBUSY)
		return
	}
	live := plan.LiveMount{Source: l.Source, Destination: l.Destination, ReadOnly: l.ReadOnly, MakeTarget: l.Mkdir}
	if l.Image {
		live.Image = &plan.Image{}
		for _, o := range l.Options {
			live.Image.Options = append(live.Image.Options, plan.ImageOption{Partition: o[0], Options: o[1]})
		}
	}
	// We are its parent and have not reaped it, so the number is still its own.
	pidfd, err := kernel.PidFDOpen(int(pid))
	if err != nil {
		done(err)
		return
	}
	c, err := m.spawner.start.Start(execplan.LiveMount(u, m.spawner.cleanupContext(), live, int32(pidfd)), spawn.Options{NoPidFD: true})
	unix.Close(pidfd)
	if err != nil {
		done(err)
		return
	}
	m.liveMounts++
	m.spawner.keep(int32(c.Pid), &child{Child: c, unit: name, done: func(message string) {
		m.liveMounts--
		if message == "" {
			delete(m.liveResults, name)
			done(nil)
			return
		}
		m.liveResults[name] = "exit-code"
		done(errors.New(message))
	}})
}

func (b backend) CanLiveMount(name string) bool {
	u := b.m.eng.Config(name)
	return u != nil && execplan.PrivateMounts(u)
}

// LiveMountResult is how the last mount into a service ended.
func (b backend) LiveMountResult(name string) string {
	if r := b.m.liveResults[name]; r != "" {
		return r
	}
	return "success"
}
