package manager

import (
	"encoding/json"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/execplan"
	"github.com/muster-init/muster/pkg/unit"
)

// shared is what all processes of a unit have in common as long as it is up, and those of the units it is joined with by JoinsNamespaceOf=:
// the network and IPC namespaces of PrivateNetwork= and PrivateIPC=, the directories of PrivateTmp=. A namespace is kept by a pair of sockets
// in which the first process that needs it leaves its descriptor.
type shared struct {
	Owner string            `json:"owner"`
	Units []string          `json:"units"` // that use it
	Net   [2]machine.Handle `json:"net,omitzero"`
	IPC   [2]machine.Handle `json:"ipc,omitzero"`
	Tmp   [2]string         `json:"tmp,omitzero"` // also what tells one entry from another
	// UsesTmp says that Tmp may exist.
	UsesTmp bool `json:"usesTmp,omitempty"`
}

// sharing finds what is shared by the name of a unit that uses it.
type sharing struct {
	m  *Manager
	of map[string]*shared
}

// keyShared begins the keys of the records of what is shared, by owner.
const keyShared = "shell/shared/"

// context fills in what u shares, making it first if need be. Units that keep nothing open and join nobody have no entry: where their private
// directories are follows from the invocation.
func (s *sharing) context(u *unit.Unit, ctx *execplan.Context) error {
	want := execplan.Shares(u)
	if want == (execplan.Sharing{}) {
		return nil
	}
	e := s.of[u.Name]
	if e == nil {
		var joined []string
		if loaded := s.m.eng.Unit(u.Name); loaded != nil {
			joined = s.m.eng.Deps(loaded, unit.DepJoinsNamespaceOf)
		}
		if len(joined) == 0 && !want.Network && !want.IPC {
			return nil
		}
		if e = s.join(joined); e == nil {
			e = &shared{Owner: u.Name, Tmp: execplan.PrivateTmpDirs(u.Name, ctx.BootID, ctx.InvocationID)}
		}
		e.Units = append(e.Units, u.Name)
		s.of[u.Name] = e
		defer s.save(e)
	}
	// DEVIATION: systemd makes only the namespaces that the first unit asks for, and a unit that joins it later and wants another one runs in
	// that of the host. Here each is made when the first unit needs it.
	for _, ns := range []struct {
		on    bool
		store *[2]machine.Handle
		fds   *[2]int32
	}{{want.Network, &e.Net, &ctx.NetStore}, {want.IPC, &e.IPC, &ctx.IPCStore}} {
		if !ns.on {
			continue
		}
		if ns.store[0] == 0 {
			pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			*ns.store = [2]machine.Handle{s.m.fds.add(pair[0]), s.m.fds.add(pair[1])}
			defer s.save(e)
		}
		ns.fds[0], ns.fds[1] = int32(s.m.fds.fd(ns.store[0])), int32(s.m.fds.fd(ns.store[1]))
	}
	if ctx.PrivateTmpDir = e.Tmp; want.Tmp && !e.UsesTmp {
		e.UsesTmp = true
		s.save(e)
	}
	return nil
}

// join finds what one of the units shares already.
func (s *sharing) join(names []string) *shared {
	for _, name := range names {
		if e := s.of[name]; e != nil {
			return e
		}
	}
	return nil
}

// release is called when nothing of a unit runs any more. It tells the clean-up which private directories there are, and whether others use
// them; the namespaces go with the last unit.
func (s *sharing) release(name string, ctx *execplan.Context) {
	e := s.of[name]
	if e == nil {
		return
	}
	delete(s.of, name)
	e.Units = slices.DeleteFunc(e.Units, func(n string) bool { return n == name })
	if ctx.TmpInUse = len(e.Units) > 0; e.UsesTmp {
		ctx.PrivateTmpDir = e.Tmp
	}
	if len(e.Units) == 0 {
		for _, h := range []machine.Handle{e.Net[0], e.Net[1], e.IPC[0], e.IPC[1]} {
			s.m.fds.close(h)
		}
	}
	s.save(e)
}

func (s *sharing) save(e *shared) {
	if s.m.state == nil {
		return
	}
	if len(e.Units) == 0 {
		_ = s.m.state.Delete(e.key())
		return
	}
	s.m.putRecord(e.key(), e)
}

// key names the record: an owner may be gone and start anew while others still use what it made.
func (e *shared) key() string { return keyShared + e.Tmp[0] }

// restore takes over what the last image recorded, and takes it from records.
func (s *sharing) restore(records map[string][]byte) {
	for key, record := range records {
		if !strings.HasPrefix(key, keyShared) {
			continue
		}
		delete(records, key)
		var e shared
		if json.Unmarshal(record, &e) != nil {
			continue
		}
		for _, name := range e.Units {
			s.of[name] = &e
		}
	}
}
