package busapi

import (
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/kernel"
	"github.com/muster-init/muster/pkg/unit"
)

func dumpMethods() []method {
	return []method{
		{name: "Dump", out: "s", args: []string{"output"}, run: func(k *call) { k.replyText(k.s.DumpText(nil)) }},
		{name: "DumpUnitsMatchingPatterns", in: "as", out: "s", args: []string{"patterns", "output"}, run: func(k *call) {
			k.replyText(k.s.DumpText(k.args.Strings()))
		}},
		{name: "DumpByFileDescriptor", out: "h", args: []string{"fd"}, run: func(k *call) { k.replyTextFD(k.s.DumpText(nil)) }},
		{name: "DumpUnitsMatchingPatternsByFileDescriptor", in: "as", out: "h", args: []string{"patterns", "fd"}, run: func(k *call) {
			k.replyTextFD(k.s.DumpText(k.args.Strings()))
		}},
		{name: "DumpUnitFileDescriptorStore", in: "s", out: "a(suuutuusu)", args: []string{"name", "entries"}, run: dumpStore},
	}
}

// dumpBusMax is what fits into one message; more has to be asked for by file descriptor.
const dumpBusMax = 8 << 20

func (k *call) replyText(text string) {
	if len(text) > dumpBusMax {
		k.fail(bus.Errorf(bus.ErrLimitsExceeded, "The dump has %d bytes: ask for it by file descriptor.", len(text)))
		return
	}
	k.reply("s", func(e *bus.Encoder) { e.String(strings.ToValidUTF8(text, "\uFFFD")) })
}

func (k *call) replyTextFD(text string) {
	fd, err := kernel.SealedMemfd("dump", []byte(text), false)
	if err != nil {
		k.fail(bus.Errorf(bus.ErrIOError, "%v", err))
		return
	}
	defer unix.Close(fd)
	k.reply("h", func(e *bus.Encoder) { e.UnixFD(fd) })
}

// DumpText is the state of the manager for people, for `analyze dump` and SIGUSR2. patterns limit it to some units.
func (s *Server) DumpText(patterns []string) string {
	var b strings.Builder
	r := s.b.Runtime()
	if len(patterns) == 0 {
		fmt.Fprintf(&b, "Manager: %s\nState: %s\nUserspace: %d µs\nFinish: %d µs\n", s.b.Facts().Version, r.State, r.Userspace.Realtime, r.Finish.Realtime)
	}
	for _, u := range s.b.Engine().Units() {
		if len(patterns) > 0 && !matchesAny(u, patterns) {
			continue
		}
		s.dumpUnit(&b, u)
	}
	if len(patterns) == 0 {
		for _, j := range s.b.Engine().Jobs() {
			fmt.Fprintf(&b, "-> Job %d:\n\tAction: %s -> %s\n\tState: %s\n", j.ID, j.Unit.Name(), j.Type, j.State)
		}
	}
	return b.String()
}

func matchesAny(u *engine.Unit, patterns []string) bool {
	for _, n := range u.Names() {
		for _, p := range patterns {
			if ok, _ := path.Match(p, n); ok {
				return true
			}
		}
	}
	return false
}

func (s *Server) dumpUnit(b *strings.Builder, u *engine.Unit) {
	cfg := u.Config()
	fmt.Fprintf(b, "-> Unit %s:\n\tDescription: %s\n\tUnit Load State: %s\n\tUnit Active State: %s\n\tUnit Sub State: %s\n", u.Name(), description(cfg), cfg.LoadState, u.ActiveState(), u.SubState())
	if id := u.Invocation(); id != "" {
		fmt.Fprintf(b, "\tInvocation ID: %s\n", id)
	}
	if cfg.FragmentPath != "" {
		fmt.Fprintf(b, "\tFragment Path: %s\n", cfg.FragmentPath)
	}
	for _, p := range cfg.DropInPaths {
		fmt.Fprintf(b, "\tDropIn Path: %s\n", p)
	}
	if group := s.b.ControlGroup(u.Name()); group != "" {
		fmt.Fprintf(b, "\tCGroup: %s\n", group)
	}
	if main, control := u.PIDs(); main != 0 || control != 0 {
		fmt.Fprintf(b, "\tMain PID: %d\n\tControl PID: %d\n", main, control)
	}
	for t := unit.DepType(0); t < unit.DepTypeMax; t++ {
		for _, peer := range s.b.Engine().Deps(u, t) {
			origin := ""
			if other := s.b.Engine().Unit(peer); other != nil {
				if _, directive, where, ok := s.b.Engine().Origin(u, t, other); ok {
					origin = fmt.Sprintf(" (%s at %s)", directive, where)
				}
			}
			fmt.Fprintf(b, "\t%s: %s%s\n", t, peer, origin)
		}
	}
}

// dumpStore describes the fd store of a service: name, mode, device, inode, rdev, path, flags of each descriptor.
func dumpStore(k *call) { k.replyStore(k.args.String()) }

// replyStore answers with what is in the fd store of a service.
func (k *call) replyStore(name string) {
	u := k.s.b.Engine().Unit(name)
	if u == nil {
		k.fail(bus.Errorf(bus.ErrNoSuchUnit, "Unit %s not loaded.", name))
		return
	}
	if u.Config().Type != unit.TypeService || u.Config().GetService().FileDescriptorStoreMax == 0 && len(serviceState(u).Store) == 0 {
		k.fail(bus.Errorf(bus.ErrFDStoreDisabled, "File descriptor store not enabled for %s.", name))
		return
	}
	k.reply("a(suuutuusu)", func(e *bus.Encoder) {
		mark := e.BeginArray('(')
		for _, f := range serviceState(u).Store {
			fd := k.s.b.Handle(f.Handle)
			var st unix.Stat_t
			if fd < 0 || unix.Fstat(fd, &st) != nil {
				continue
			}
			flags, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
			e.Struct()
			e.String(f.Name)
			e.Uint32(st.Mode)
			e.Uint32(unix.Major(st.Dev))
			e.Uint32(unix.Minor(st.Dev))
			e.Uint64(st.Ino)
			e.Uint32(unix.Major(st.Rdev))
			e.Uint32(unix.Minor(st.Rdev))
			e.String(fdPath(fd))
			e.Uint32(uint32(flags) & unix.O_ACCMODE)
		}
		e.EndArray(mark)
	})
}

// fdPath is where a descriptor leads, "n/a" if nobody can tell.
func fdPath(fd int) string {
	p, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		return "n/a"
	}
	return strings.ToValidUTF8(p, "\uFFFD")
}
