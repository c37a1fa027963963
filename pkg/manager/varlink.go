package manager

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/muster-init/muster/pkg/busapi"
	"github.com/muster-init/muster/pkg/kernel"
	"github.com/muster-init/muster/pkg/manager/oomd"
	"github.com/muster-init/muster/pkg/manager/userdb"
	"github.com/muster-init/muster/pkg/spawn"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/varlink"
)

// varlink.go serves the manager's varlink sockets, each with all interfaces, and tells systemd-oomd which control groups to watch. A user manager serves
// nothing, it reports to systemd-oomd's socket.

// varlinkSockets are those of the system's manager, by the name that a re-execution keeps them under.
var varlinkSockets = map[string]string{"userdb": userdb.Directory + "/" + userdb.Service, "oom": oomd.Socket}

// varlinkPoll is the loop as package varlink sees it.
type varlinkPoll struct{ m *Manager }

func (p varlinkPoll) Add(fd int, events uint32, ready func(uint32)) error {
	return p.m.sources.add(fd, events, prioBus, sourceFunc(ready))
}
func (p varlinkPoll) Modify(fd int, events uint32) error { return p.m.poll.Modify(fd, events) }
func (p varlinkPoll) Remove(fd int)                      { p.m.sources.remove(fd) }

// varlinks is what the manager has of varlink.
type varlinks struct {
	m       *Manager
	listen  map[string]int
	oom     *oomd.Reporter // nil: nobody wants to know
	waiting bool           // a user manager will try to connect in the next turn
}

// openVarlink listens, or goes on with the sockets of the last image. A user manager has no dynamic users, and systemd-oomd doesn't ask it.
func (m *Manager) openVarlink() error {
	m.varlink = &varlinks{m: m, listen: map[string]int{}}
	if !m.system {
		return nil
	}
	server := varlink.NewServer(varlinkPoll{m}, m.varlink.serve)
	var errs []error
	for name, path := range varlinkSockets { // order-free: they don't depend on each other
		fd := m.kept(name)
		if fd < 0 {
			err := os.MkdirAll(filepath.Dir(path), 0o755)
			if err == nil {
				fd, err = varlink.Listen(path)
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", path, err))
				continue
			}
		}
		m.varlink.listen[name] = fd
		if err := server.Add(fd); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// keep lets the listening sockets survive.
func (v *varlinks) keep(kept map[string]int) {
	for name, fd := range v.listen { // order-free: into a map
		kept[name] = fd
		_ = kernel.SetCloexec(fd, false)
	}
}

func (v *varlinks) serve(c *varlink.Call) {
	switch name := c.Method[:max(strings.LastIndexByte(c.Method, '.'), 0)]; {
	case c.Method == "org.varlink.service.GetInfo":
		c.Reply(varlink.Info{Vendor: "muster", Product: "muster", Version: Version, URL: "https://github.com/muster-init/muster",
			Interfaces: []string{oomd.Interface, userdb.Interface, "org.varlink.service"}})
	case name == userdb.Interface:
		userdb.Serve(c)
	case c.Method == oomd.Subscribe:
		v.subscribe(c)
	default:
		c.Unknown()
	}
}

// subscribe answers systemd-oomd, and nobody else: it is known by its unit, as names of users can't be looked up here.
func (v *varlinks) subscribe(c *varlink.Call) {
	pid, err := c.Peer()
	if err != nil || pid == 0 || v.m.cg.unitOfPID(pid) != oomd.Unit {
		c.Fail(varlink.PermissionDenied, nil)
		return
	}
	if !c.Decode(&struct{}{}) {
		return
	}
	if !c.More {
		list, _ := oomd.List(v.m.cg.watchedByOOM())
		c.Reply(list)
		return
	}
	if v.oom != nil {
		c.Fail(oomd.Taken, nil)
		return
	}
	stream := c.Stream()
	stream.Gone = func() { v.oom = nil }
	v.oom = oomd.NewReporter(stream.Send)
	v.oom.Begin(v.m.cg.watchedByOOM())
}

// report tells systemd-oomd what holds for the group of a unit; where nobody listens, which is on most starts, it costs nothing. A user manager connects
// as soon as there is something to tell.
func (v *varlinks) report(name string, s oomd.Setting) {
	switch {
	case v == nil:
	case v.oom != nil:
		v.oom.Set(v.m.cg.oomPath(name), s)
	case !v.m.system && s.Watched() && !v.waiting:
		v.waiting = true
		v.m.later(v.connect)
	}
}

// connect reports everything to systemd-oomd, if it is there.
func (v *varlinks) connect() {
	v.waiting = false
	if v.oom != nil {
		return
	}
	watched := v.m.cg.watchedByOOM()
	if len(watched) == 0 {
		return
	}
	client, err := varlink.Dial(varlinkPoll{v.m}, oomd.UserSocket, func() {
		v.oom = nil
		v.m.alarms.after("systemd-oomd", oomAgainUSec, v.connect)
	})
	if err != nil {
		v.m.log.debug("", "systemd-oomd can't be told: %v", err) // the next change tries again
		return
	}
	v.oom = oomd.NewReporter(func(params any) { client.Send(oomd.Report, params) })
	v.oom.Begin(watched)
}

// oomAgainUSec is how long a user manager waits before it connects again: systemd-oomd was restarted, or there is something wrong with it.
const oomAgainUSec = 1_000_000

// watchedByOOM are the groups that systemd-oomd is to watch.
func (c *cgroups) watchedByOOM() map[string]oomd.Setting {
	watched := map[string]oomd.Setting{}
	add := func(name, path string) {
		if u := c.m.eng.Unit(name); u != nil && !u.ActiveState().IsInactiveOrFailed() && watchable(u.Config()) {
			if s := oomd.Of(u.Config().GetCgroup()); s.Watched() {
				watched[path] = s
			}
		}
	}
	for name := range c.paths { // order-free: into a map
		add(name, c.oomPath(name))
	}
	add("-.slice", c.oomPath("-.slice"))
	return watched
}

// tellOOM tells systemd-oomd about the group of a unit, as the unit's configuration now is.
func (c *cgroups) tellOOM(u *unit.Unit) {
	if watchable(u) {
		c.m.varlink.report(u.Name, oomd.Of(u.GetCgroup()))
	}
}

// oomPath is the path of a unit's group as systemd-oomd wants it: that of the root is empty.
func (c *cgroups) oomPath(name string) string { return strings.TrimRight(c.procPath(name), "/") }

// watchable: the settings are there for all units with a control group and count for these.
func watchable(u *unit.Unit) bool {
	return u.Type == unit.TypeService || u.Type == unit.TypeScope || u.Type == unit.TypeSlice
}

func (b backend) DynamicUsers() (list []busapi.DynamicUser, ok bool) {
	if !b.m.system {
		return nil, false
	}
	for _, u := range spawn.DynamicUsers() {
		list = append(list, busapi.DynamicUser{Name: u.Name, UID: u.UID})
	}
	return list, true
}
