package manager

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/execplan"
	"github.com/muster-init/muster/pkg/kernel"
	"github.com/muster-init/muster/pkg/listen"
	"github.com/muster-init/muster/pkg/spawn"
	"github.com/muster-init/muster/pkg/unit"
)

// sockets is what the shell knows about the listeners of socket units: which are watched, and what a worker is doing to them.
type sockets struct {
	watched map[machine.Handle]string // handle → unit
	// queues holds the work on the sockets of a unit that waits for other work on them: what was closed is removed from the
	// file system before it is opened again.
	queues map[string][]func() func()
}

func newSockets() sockets {
	return sockets{watched: map[machine.Handle]string{}, queues: map[string][]func() func(){}}
}

// socketWork runs work about one unit's sockets on a worker, one piece after the other. false: the workers are too busy.
func (m *Manager) socketWork(name string, work func() func()) bool {
	if queue, busy := m.sock.queues[name]; busy {
		m.sock.queues[name] = append(queue, work)
		return true
	}
	m.sock.queues[name] = nil
	if !m.work.add(m.socketStep(name, work)) {
		delete(m.sock.queues, name)
		return false
	}
	return true
}

func (m *Manager) socketStep(name string, work func() func()) func() func() {
	return func() func() {
		then := work()
		return func() {
			queue := m.sock.queues[name]
			if len(queue) == 0 {
				delete(m.sock.queues, name)
			} else {
				m.sock.queues[name] = queue[1:]
				if !m.work.add(m.socketStep(name, queue[0])) {
					m.later(m.socketStep(name, queue[0])())
				}
			}
			then()
		}
	}
}

// openSockets opens the listeners of a unit. Paths may be anywhere, so a worker does it.
func (m *Manager) openSockets(e machine.OpenSockets) {
	m.open(e.Token, nil)
	u := m.eng.Config(e.Unit)
	if u == nil {
		m.answer(e.Token, machine.SocketsOpened{Token: e.Token, Message: "the unit is not loaded"})
		return
	}
	s := u.GetSocket()
	var warnings []string
	opt := listen.Options{NetNS: u.GetSandbox().NetworkNamespacePath, PrivateNet: u.GetSandbox().PrivateNetwork, USB: m.usbFunction(u), Warn: func(format string, args ...any) {
		warnings = append(warnings, fmt.Sprintf(format, args...))
	}}
	if kinds := listen.Internet(s); len(kinds) > 0 && m.cg.filtersSockets(u) {
		m.makeSockets(e, u, kinds, func(made []int) {
			opt.Made = made
			m.listen(e, s, opt, &warnings)
		})
		return
	}
	m.listen(e, s, opt, &warnings)
}

func (m *Manager) listen(e machine.OpenSockets, s *unit.Socket, opt listen.Options, warnings *[]string) {
	queued := m.socketWork(e.Unit, func() func() {
		var home error
		if opt.PrivateNet && len(opt.Made) > 0 {
			// All of its sockets are in one namespace.
			ns, err := unix.IoctlRetInt(opt.Made[0], unix.SIOCGSKNS)
			if err == nil {
				defer unix.Close(ns)
				opt.NetNS, opt.PrivateNet = fmt.Sprintf("/proc/self/fd/%d", ns), false
			}
			home = err
		}
		if s.SELinuxContextFromNet && unix.Access("/sys/fs/selinux/enforce", unix.F_OK) == nil {
			*warnings = append(*warnings, "SELinuxContextFromNet= has no effect: services for connections run in their own context.")
		}
		ports, err := listen.Open(s, opt)
		err = errors.Join(home, err)
		return func() {
			for _, w := range *warnings {
				m.log.warning(e.Unit, "%s", w)
			}
			m.socketsOpened(e, ports, err)
		}
	})
	if !queued {
		for _, fd := range opt.Made {
			unix.Close(fd)
		}
		m.answer(e.Token, machine.SocketsOpened{Token: e.Token, Message: "the manager is too busy"})
	}
}

// makeSockets lets an executor make the sockets of a unit in its control group, so that the programs of the group are about them; then gets them.
func (m *Manager) makeSockets(e machine.OpenSockets, u *unit.Unit, kinds []listen.Kind, then func(made []int)) {
	fail := func(text string) { m.answer(e.Token, machine.SocketsOpened{Token: e.Token, Message: text}) }
	m.cg.realize(e.Unit)
	if err := m.cg.fault(e.Unit); err != nil {
		fail(err.Error())
		return
	}
	r, theirs, err := kernel.NewFDReceiver(len(kinds))
	if err != nil {
		fail(err.Error())
		return
	}
	var list [][3]int32
	for _, k := range kinds {
		list = append(list, [3]int32{int32(k.Family), int32(k.Type), int32(k.Protocol)})
	}
	fd, migrate := m.cg.dirFD(e.Unit)
	c, err := m.spawner.start.Start(execplan.Sockets(u, m.spawner.cleanupContext(), list, int32(theirs)), spawn.Options{CgroupFD: max(fd, 0), NoPidFD: true})
	unix.Close(theirs)
	if err == nil {
		if err = m.sources.add(r.FD(), unix.EPOLLIN, prioExec, sourceFunc(func(uint32) { r.Take() })); err != nil {
			_ = unix.Kill(c.Pid, unix.SIGKILL) // it would wait for a reader
		}
	}
	if c == nil {
		r.Close()
		fail(err.Error())
		return
	}
	if migrate {
		m.cg.attach(e.Unit, c.Pid)
	}
	m.spawner.keep(int32(c.Pid), &child{Child: c, unit: e.Unit, done: func(message string) {
		r.Take()
		m.sources.remove(r.FD())
		defer r.Close()
		made := r.Made()
		if message == "" && made != nil {
			then(made)
			return
		}
		if message == "" {
			message = "the sockets could not be made"
		}
		fail(message)
	}})
}

func (m *Manager) socketsOpened(e machine.OpenSockets, ports []listen.Port, err error) {
	if _, wanted := m.queries[e.Token]; !wanted {
		listen.Close(ports)
		return
	}
	ev := machine.SocketsOpened{Token: e.Token}
	if err != nil {
		ev.Message = err.Error()
	}
	for _, p := range ports {
		out := machine.Port{Handle: m.fds.add(p.FD), Kind: p.Kind, Address: p.Address}
		for _, fd := range p.Aux {
			out.Aux = append(out.Aux, m.fds.add(fd))
		}
		ev.Ports = append(ev.Ports, out)
	}
	m.answer(e.Token, ev)
}

// usbFunction is how the service of a socket describes its USB function.
func (m *Manager) usbFunction(u *unit.Unit) listen.USBFunction {
	name := u.GetSocket().Service
	if name == "" {
		name = unit.ChangeSuffix(u.Name, ".service")
	}
	service := m.eng.Config(name)
	if service == nil || service.Type != unit.TypeService {
		return listen.USBFunction{}
	}
	s := service.GetService()
	return listen.USBFunction{Descriptors: s.USBFunctionDescriptors, Strings: s.USBFunctionStrings}
}

// closeSockets closes listeners here, where the handles are; what they leave in the file system is removed on a worker.
func (m *Manager) closeSockets(e machine.CloseSockets) {
	var ports []listen.Port
	for _, p := range e.Ports {
		m.unwatchSocket(p.Handle)
		m.fds.close(p.Handle)
		for _, h := range p.Aux {
			m.fds.close(h)
		}
		ports = append(ports, listen.Port{Kind: p.Kind, Address: p.Address, FD: -1})
	}
	if e.Token != 0 {
		m.open(e.Token, nil)
	}
	done := func() {
		if e.Token != 0 {
			m.answer(e.Token, machine.SocketsClosed{Token: e.Token})
		}
	}
	u := m.eng.Config(e.Unit)
	if u == nil || !u.GetSocket().RemoveOnStop {
		done()
		return
	}
	s := u.GetSocket()
	if !m.socketWork(e.Unit, func() func() { listen.Remove(s, ports); return done }) {
		done()
	}
}

// chownSockets gives nodes in the file system to their owner. The names may lead to a name service, which may hang: a worker asks.
func (m *Manager) chownSockets(e machine.ChownSockets) {
	m.open(e.Token, nil)
	u := m.eng.Config(e.Unit)
	if u == nil {
		m.answer(e.Token, machine.SocketsChowned{Token: e.Token, Message: "the unit is not loaded"})
		return
	}
	s := u.GetSocket()
	queued := m.socketWork(e.Unit, func() func() {
		err := m.chownNodes(s)
		return func() {
			ev := machine.SocketsChowned{Token: e.Token}
			if err != nil {
				ev.Message = err.Error()
			}
			m.answer(e.Token, ev)
		}
	})
	if !queued {
		m.answer(e.Token, machine.SocketsChowned{Token: e.Token, Message: "the manager is too busy"})
	}
}

func (m *Manager) chownNodes(s *unit.Socket) error {
	uid, gid := -1, -1
	if s.SocketUser != "" {
		fields, err := m.lookupName("passwd", s.SocketUser)
		if err != nil {
			return fmt.Errorf("SocketUser=%s: %w", s.SocketUser, err)
		}
		uid, gid = fields[0], fields[1]
	}
	if s.SocketGroup != "" {
		fields, err := m.lookupName("group", s.SocketGroup)
		if err != nil {
			return fmt.Errorf("SocketGroup=%s: %w", s.SocketGroup, err)
		}
		gid = fields[0]
	}
	for _, l := range s.Listen {
		if !listen.OnDisk(l.Kind, l.Address) {
			continue
		}
		if err := unix.Lchown(l.Address, uid, gid); err != nil {
			return fmt.Errorf("chown %s: %w", l.Address, err)
		}
	}
	return nil
}

const (
	nameFileMax       = 64 << 20
	nameLookupTimeout = 30 * time.Second
)

// lookupName finds a user (uid and gid) or a group (gid) by name or number: in its file, and by getent(1), which asks whatever the C
// library asks, if it isn't there. For workers only.
func (m *Manager) lookupName(database, name string) ([]int, error) {
	if name == "root" {
		return []int{0, 0}, nil
	}
	file := "/etc/" + database
	if st, err := os.Stat(file); err == nil && st.Mode().IsRegular() && st.Size() <= nameFileMax {
		if data, err := os.ReadFile(file); err == nil {
			if ids := findName(data, name); ids != nil {
				return ids, nil
			}
		}
	}
	if ids := findName([]byte(m.getent(database, name)), name); ids != nil {
		return ids, nil
	}
	if n, err := strconv.ParseUint(name, 10, 32); err == nil {
		return []int{int(n), int(n)}, nil
	}
	return nil, unix.ESRCH
}

// findName gives the numbers in an entry of passwd(5) or group(5).
func findName(data []byte, name string) []int {
	for line := range bytes.Lines(data) {
		f := strings.Split(strings.TrimSuffix(string(line), "\n"), ":")
		if len(f) < 4 || f[0] != name && f[2] != name {
			continue
		}
		id, err := strconv.ParseUint(f[2], 10, 32)
		if err != nil {
			continue
		}
		group, err := strconv.ParseUint(f[3], 10, 32)
		if err != nil {
			group = id
		}
		return []int{int(id), int(group)}
	}
	return nil
}

// getent asks the name service of the C library, in a child.
func (m *Manager) getent(database, name string) string {
	const program = "/usr/bin/getent"
	if unix.Access(program, unix.X_OK) != nil {
		return ""
	}
	var pipe [2]int
	if unix.Pipe2(pipe[:], unix.O_CLOEXEC) != nil {
		return ""
	}
	var l kernel.OpList
	l.OpenTo(generatorStatus, "/dev/null", unix.O_RDONLY, 0, 0)
	l.Dup(generatorStatus, pipe[1], 1)
	l.OpenTo(generatorStatus, "/dev/null", unix.O_WRONLY, 0, 2)
	l.CloexecFrom(generatorStatus, 3)
	helperLimits(&l)
	l.Exec(generatorStatus, program, []string{path.Base(program), database, name}, []string{"PATH=/usr/bin:/bin", "LC_ALL=C"})
	child, err := m.helpers.spawn(&l, kernel.SpawnOptions{})
	_ = unix.Close(pipe[1])
	if err != nil {
		_ = unix.Close(pipe[0])
		return ""
	}
	text := readAllUntil(pipe[0], time.Now().Add(nameLookupTimeout))
	if child.PidFD >= 0 {
		// A name service that hangs is given up.
		_ = unix.PidfdSendSignal(child.PidFD, unix.SIGKILL, nil, 0)
		_ = unix.Close(child.PidFD)
	}
	m.helpers.forget(child.Pid)
	child.Release()
	return text
}

// flushSockets throws away what waits.
func (m *Manager) flushSockets(e machine.FlushSockets) {
	for _, h := range e.Ports {
		if fd := m.fds.fd(h); fd >= 0 {
			listen.Flush(fd)
		}
	}
}

var errNoSocket = errors.New("the listener is not open")
