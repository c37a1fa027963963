package manager

import (
	"encoding/hex"
	"slices"
	"strings"

	"github.com/muster-init/muster/pkg/cgroup"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/execplan"
	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/journal"
	"github.com/muster-init/muster/pkg/kernel"
	"github.com/muster-init/muster/pkg/manager/account"
	"github.com/muster-init/muster/pkg/spawn"
	"github.com/muster-init/muster/pkg/unit"
)

// cleanupHoldUSec is how long a start waits at most for what is left of the activation before.
const cleanupHoldUSec = 10_000_000

// journalState is what journald was told about a unit.
type journalState struct {
	config     *unit.Unit
	invocation string
}

// releaseRuntime gives back what a stopped unit held: runtime directories, private /tmp, credentials, IPC objects, the dynamic user. What
// could hold up the loop is the executor's.
func (m *Manager) releaseRuntime(e machine.ReleaseRuntime) {
	u := m.eng.Config(e.Unit)
	if u == nil || u.Exec == nil {
		return
	}
	s := &m.spawner
	ctx := s.cleanupContext()
	ctx.InvocationID = rawID(m.eng.InvocationID(e.Unit))
	m.sharing.release(e.Unit, &ctx)
	ctx.KeepUsers = m.dynamicUsersElsewhere(u)
	ctx.KeepNFT = e.Restarting || m.inSetsElsewhere(u)
	p := execplan.Cleanup(u, ctx, e.Restarting)
	if p != nil && p.Cleanup.RemoveIPC && m.userInUse(e.Unit, p.Cleanup.User) {
		p.Cleanup.RemoveIPC = false // the last unit of the user does it
	}
	if p != nil && spawn.CleanNow(p.Cleanup) {
		s.cleanUp(p)
	}
}

// inSetsElsewhere reports whether another unit that is up has put the same user into a set of nftables.
func (m *Manager) inSetsElsewhere(u *unit.Unit) bool {
	if len(u.GetCgroup().NFTSet) == 0 {
		return false
	}
	for _, o := range m.eng.Units() {
		c := o.Config()
		if c.Name != u.Name && c.Exec != nil && c.Exec.User == u.Exec.User && c.Exec.Group == u.Exec.Group && !o.ActiveState().IsInactiveOrFailed() &&
			slices.ContainsFunc(c.GetCgroup().NFTSet, func(s unit.NFTSet) bool { return slices.Contains(u.GetCgroup().NFTSet, s) }) {
			return true
		}
	}
	return false
}

// userInUse reports whether another unit that is up runs as the user.
func (m *Manager) userInUse(name, user string) bool {
	for _, u := range m.eng.Units() {
		if u.Name() != name && u.Config().Exec != nil && u.Config().Exec.User == user && !u.ActiveState().IsInactiveOrFailed() {
			return true
		}
	}
	return false
}

// dynamicUsersElsewhere are those of a unit's dynamic users that another unit is, too: User= may name the same for several.
func (m *Manager) dynamicUsersElsewhere(u *unit.Unit) []string {
	user, group := execplan.DynamicNames(u)
	if user == "" {
		return nil
	}
	var kept []string
	for _, other := range m.eng.Units() {
		cfg := other.Config()
		if cfg == nil || cfg.Exec == nil || cfg.Name == u.Name || other.ActiveState() == machine.Inactive || other.ActiveState() == machine.Failed {
			continue
		}
		otherUser, otherGroup := execplan.DynamicNames(cfg)
		for _, name := range []string{user, group} {
			if name != "" && (name == otherUser || name == otherGroup) {
				kept = append(kept, name)
			}
		}
	}
	return kept
}

// cleanupBefore is what a start of u has to wait for: the cleanup of its last activation, or of another unit that gives back the same dynamic user.
func (s *spawner) cleanupBefore(u *unit.Unit) *child {
	if c := s.cleanups[u.Name]; c != nil || len(s.cleanups) == 0 {
		return c
	}
	user, _ := execplan.DynamicNames(u)
	for _, c := range s.cleanups {
		if user != "" && c.dynamicUser == user {
			return c
		}
	}
	return nil
}

func (s *spawner) cleanupContext() execplan.Context {
	return execplan.Context{UserMode: !s.m.system, Prefixes: s.m.prefixes(), BootID: s.bootID()}
}

// cleanUp starts a plan of execplan.Cleanup; nil is nothing to do.
func (s *spawner) cleanUp(p *plan.Plan) {
	if p == nil {
		return
	}
	c, err := s.start.Start(p, spawn.Options{})
	if err != nil {
		s.m.log.warning(p.Unit, "What the unit leaves is not taken away: %v", err)
		return
	}
	// The pidfd stays open: the next start of the unit waits for it.
	entry := &child{Child: c, unit: p.Unit, dynamicUser: p.Cleanup.DynamicUser}
	s.children[int32(c.Pid)] = entry
	s.cleanups[p.Unit] = entry
}

// closeUtmp notes the end of a process that UtmpIdentifier= made known.
func (s *spawner) closeUtmp(u *unit.Unit, pid int32, exit machine.Exit) {
	if u == nil || u.Exec == nil {
		return
	}
	signal, status := int32(0), exit.Status
	if exit.Code != machine.CodeExited {
		signal, status = exit.Status, 0
	}
	s.cleanUp(execplan.UtmpEnd(u, s.cleanupContext(), pid, signal, status))
}

// tellJournal lets journald know the invocation ID and the Log…= settings before the first process of an activation logs.
func (s *spawner) tellJournal(u *unit.Unit, invocation string) {
	now := journalState{u, invocation}
	if !s.m.system || s.exported[u.Name] == now {
		return
	}
	if s.rare == nil {
		s.findRare()
	}
	// What isn't set is only removed where it may be.
	files := slices.DeleteFunc(execplan.JournalState(u, invocation), func(f plan.StateFile) bool {
		return f.Link == "" && len(f.Data) == 0 && !s.rare[f.Name]
	})
	if err := spawn.WriteState(files); err != nil {
		s.m.log.warning(u.Name, "%v", err)
		return
	}
	for _, f := range files {
		switch {
		case strings.HasPrefix(f.Name, "invocation:"):
		case f.Link != "" || len(f.Data) > 0:
			s.rare[f.Name] = true
		default:
			delete(s.rare, f.Name)
		}
	}
	s.exported[u.Name] = now
}

// stateFilesMax is how many files of journald's are looked at.
const stateFilesMax = 1 << 18

// findRare looks once for files that a manager before this one left: of the initrd, or before a re-execution.
func (s *spawner) findRare() {
	s.rare = map[string]bool{}
	for _, name := range spawn.ListState(stateFilesMax) {
		if !strings.HasPrefix(name, "invocation:") {
			s.rare[strings.Clone(name)] = true
		}
	}
}

// forgotten is an unloaded unit whose files for journald are still there.
type forgotten struct {
	unit string
	at   uint64 // monotonic µs: when they go
}

const (
	// forgetHoldUSec is how long journald may take to read what a unit said last: it looks at the files when it comes to the message.
	forgetHoldUSec = 5_000_000
	// forgottenMax bounds the units whose files are kept that long.
	forgottenMax = 4096
)

// forgetJournal takes that away again, a while after the unit was unloaded.
func (s *spawner) forgetJournal(name string) {
	if _, ok := s.exported[name]; !ok {
		return
	}
	delete(s.exported, name)
	s.forgotten = append(s.forgotten, forgotten{name, kernel.Monotonic() + forgetHoldUSec})
	if len(s.forgotten) > forgottenMax {
		s.forget(s.forgotten[0].unit)
		s.forgotten = s.forgotten[1:]
	}
}

// forgetDeadline is when the loop has to wake up for the next of them, machine.Never if there is none.
func (s *spawner) forgetDeadline() uint64 {
	if len(s.forgotten) == 0 {
		return machine.Never
	}
	return s.forgotten[0].at
}

// forgetDue removes the files whose time has come.
func (s *spawner) forgetDue() {
	if len(s.forgotten) == 0 {
		return
	}
	for now := kernel.Monotonic(); len(s.forgotten) > 0 && s.forgotten[0].at <= now; s.forgotten = s.forgotten[1:] {
		s.forget(s.forgotten[0].unit)
	}
}

// forget removes them, unless the unit is back.
func (s *spawner) forget(name string) {
	if _, back := s.exported[name]; back {
		return
	}
	files := execplan.NoJournalState(name)
	if err := spawn.WriteState(files); err != nil {
		s.m.log.warning(name, "%v", err)
	}
	for _, f := range files {
		delete(s.rare, f.Name)
	}
}

// bootID is that of the running kernel.
func (s *spawner) bootID() [16]byte {
	if s.m.host == nil {
		return [16]byte{}
	}
	return rawID(s.m.host.BootID)
}

// rawID turns 32 hex digits into bytes, anything else into zeros.
func rawID(text string) (id [16]byte) {
	if raw, err := hex.DecodeString(text); err == nil {
		copy(id[:], raw)
	}
	return id
}

// accounts is what units used: of the last activation, as the groups were given back, and what was counted in a group before its present one.
type accounts struct {
	kept map[string]account.Account
	base map[string]account.Account
	down map[string]string // units whose end was just told, with the invocation, and what they used not yet
}

// Keys of the records of accounts: the rest is the unit's name.
const (
	keyUsed = "shell/used/"
	keyBase = "shell/base/"
)

func newAccounts() accounts {
	return accounts{kept: map[string]account.Account{}, base: map[string]account.Account{}, down: map[string]string{}}
}

// restore takes over what the last image recorded, and takes it from records.
func (a *accounts) restore(records map[string][]byte) {
	for key, record := range records {
		if name, ok := strings.CutPrefix(key, keyUsed); ok {
			a.kept[name] = account.Parse(string(record))
		} else if name, ok := strings.CutPrefix(key, keyBase); ok {
			a.base[name] = account.Parse(string(record))
		} else {
			continue
		}
		delete(records, key)
	}
}

// account is what a unit's processes used in its present group since the activation began.
func (c *cgroups) account(name, p string) account.Account {
	a := account.Unknown()
	if c.tree != nil {
		a = accountOf(c.tree.Consumed(p))
	}
	return c.sinceStart(name, a)
}

// sinceStart completes what a group has counted with the traffic, and takes off what was there before the activation.
func (c *cgroups) sinceStart(name string, a account.Account) account.Account {
	if t, ok := c.traffic(name); ok {
		a.IPIngressBytes, a.IPIngressPackets, a.IPEgressBytes, a.IPEgressPackets = t.IngressBytes, t.IngressPackets, t.EgressBytes, t.EgressPackets
	}
	if base, ok := c.m.used.base[name]; ok {
		return a.Since(base)
	}
	return a
}

func accountOf(u cgroup.Usage) account.Account {
	a := account.Unknown()
	a.CPUUsageNSec, a.MemoryPeak, a.MemorySwapPeak = u.CPUUsageNSec, u.MemoryPeak, u.MemorySwapPeak
	a.IOReadBytes, a.IOWriteBytes, a.IOReadOperations, a.IOWriteOperations = u.IOReadBytes, u.IOWriteBytes, u.IOReadOperations, u.IOWriteOperations
	return a
}

// keepUsage notes what a unit used before its group goes, and tells it if the unit's end has been told.
func (c *cgroups) keepUsage(name string) {
	a := c.account(name, c.paths[name])
	if a.Known() {
		c.m.used.kept[name] = a
		c.m.putUsage(keyUsed+name, a)
	}
	if strings.HasSuffix(name, ".slice") {
		c.m.used.down[name] = c.m.eng.InvocationID(name) // its end has no message of its own
	}
	c.m.tellUsage(name)
}

// countAnew begins the account of an activation. A group that is left of the one before goes on counting.
func (c *cgroups) countAnew(name string, g *group) {
	if !g.created && g.invocation == "" {
		return // taken over from another image, in the middle of the activation
	}
	c.m.forgetUsage(name)
	if g.invocation == "" {
		return
	}
	base := accountOf(c.tree.Consumed(c.paths[name])) // traffic is set to zero
	c.m.used.base[name] = base
	c.m.putUsage(keyBase+name, base)
}

// forgetUsage drops the accounts of a unit that is unloaded or begins anew.
func (m *Manager) forgetUsage(name string) {
	if _, ok := m.used.kept[name]; ok {
		delete(m.used.kept, name)
		m.dropRecord(keyUsed + name)
	}
	if _, ok := m.used.base[name]; ok {
		delete(m.used.base, name)
		m.dropRecord(keyBase + name)
	}
}

func (m *Manager) putUsage(key string, a account.Account) {
	if m.state == nil {
		return
	}
	if err := m.state.Put(key, a.Append(nil)); err != nil {
		m.log.err("", "state: %s: %v", key, err)
	}
}

func (m *Manager) dropRecord(key string) {
	if m.state != nil {
		_ = m.state.Delete(key)
	}
}

// tellUsage logs what a unit used whose end has just been told, as its group goes. Where that went before, as that of a service which has been up
// without processes, nothing is told.
func (m *Manager) tellUsage(name string) {
	invocation, ok := m.used.down[name]
	if !ok {
		return
	}
	delete(m.used.down, name)
	kept, ok := m.used.kept[name]
	if !ok {
		return
	}
	priority, text, fields := kept.Message()
	if text == "" {
		return
	}
	fields = append(fields, "MESSAGE_ID="+journal.MsgUnitResources)
	if invocation != "" {
		fields = append(fields, m.invocationKey()+invocation)
	}
	m.log.write(priority, name, fields, "%s", text)
}
