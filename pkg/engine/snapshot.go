package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
)

// snapshotVersion changes when an old snapshot can't be read any more. Fields are added, never given another meaning.
const snapshotVersion = 1

// Keys of records. A record exists for each unit that is not in its initial state, each job, and the engine itself; what
// is loaded beside that follows from the configuration.
const (
	keyEngine = "engine"
	keyUnit   = "unit/"
	keyJob    = "job/"
)

type engineRecord struct {
	Version      int           `json:"version"`
	LastJob      job.ID        `json:"last_job,omitempty"`
	Token        machine.Token `json:"token,omitempty"`
	Random       [2]uint64     `json:"random"`
	WatchdogsOff bool          `json:"watchdogs_off,omitempty"`
}

type unitRecord struct {
	Name    string          `json:"name"`
	Machine json.RawMessage `json:"machine,omitempty"`
	State   *state          `json:"state,omitempty"`

	raw []byte // all of it, not decoded yet
}

// machineRecord is a unitRecord whose Machine is decoded in place.
type machineRecord struct {
	Name    string `json:"name"`
	Machine any    `json:"machine,omitempty"`
	State   *state `json:"state,omitempty"`
}

type jobRecord struct {
	ID           job.ID        `json:"id"`
	Unit         string        `json:"unit"`
	Type         job.Type      `json:"type"`
	State        job.State     `json:"state"`
	Irreversible bool          `json:"irreversible,omitempty"`
	IgnoreOrder  bool          `json:"ignore_order,omitempty"`
	Install      uint64        `json:"install,omitempty"`
	Run          uint64        `json:"run,omitempty"`
	Tested       bool          `json:"tested,omitempty"`
	Asked        bool          `json:"asked,omitempty"` // conditions are being tested
	Cause        machine.Cause `json:"cause,omitzero"`
	PulledBy     string        `json:"pulled_by,omitempty"`
	PulledAs     string        `json:"pulled_as,omitempty"`
}

// snapshot is all records in a fixed order.
type snapshot struct {
	Engine engineRecord `json:"engine"`
	Units  []unitRecord `json:"units,omitempty"`
	Jobs   []jobRecord  `json:"jobs,omitempty"`
}

// markUnit notes that the unit's record changed.
func (e *Engine) markUnit(u *Unit) {
	if u.flags&(inDirty|removed) == 0 {
		u.flags |= inDirty | recorded
		e.dirty = append(e.dirty, keyUnit+u.Name())
	}
}

// Dirty lists the keys of the records that changed, came or went since the last call, sorted.
func (e *Engine) Dirty() []string {
	if len(e.dirty) == 0 && len(e.dirtyJobs) == 0 && !e.engineDirty {
		return nil
	}
	out := e.dirty
	e.dirty = nil
	for _, k := range out {
		if u := e.names[k[len(keyUnit):]]; u != nil {
			u.flags &^= inDirty
		}
	}
	for _, id := range e.dirtyJobs {
		out = append(out, keyJob+strconv.FormatUint(uint64(id), 10))
	}
	if e.dirtyJobs = e.dirtyJobs[:0]; cap(e.dirtyJobs) > scratchMax {
		e.dirtyJobs = nil
	}
	if e.engineDirty {
		out = append(out, keyEngine)
		e.engineDirty = false
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Record is the JSON of one record, nil if there is none under this key (any more).
func (e *Engine) Record(key string) []byte {
	switch {
	case key == keyEngine:
		return encode(e.engineRecord())
	case strings.HasPrefix(key, keyUnit):
		if u := e.names[key[len(keyUnit):]]; u != nil && u.Name() == key[len(keyUnit):] {
			if r, ok := e.unitRecord(u); ok {
				return r.encode()
			}
		}
	case strings.HasPrefix(key, keyJob):
		if id, err := strconv.ParseUint(key[len(keyJob):], 10, 32); err == nil && e.jobs[job.ID(id)] != nil {
			return encode(e.jobs[job.ID(id)].record())
		}
	}
	return nil
}

// encode can't fail: records are plain data.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("engine record: " + err.Error())
	}
	return b
}

// encode is json.Marshal of r, without reading the machine's record again.
func (r *unitRecord) encode() []byte {
	b := make([]byte, 0, 64+len(r.Name)+len(r.Machine))
	b = append(append(b, `{"name":`...), encode(r.Name)...)
	if len(r.Machine) > 0 {
		b = append(append(b, `,"machine":`...), r.Machine...)
	}
	if r.State != nil {
		b = append(append(b, `,"state":`...), encode(r.State)...)
	}
	return append(b, '}')
}

func (e *Engine) engineRecord() engineRecord {
	return engineRecord{Version: snapshotVersion, LastJob: e.lastJob, Token: e.token, Random: e.random.State, WatchdogsOff: e.watchdogsOff}
}

// unitRecord is the record of a unit; false if it is in its initial state.
func (e *Engine) unitRecord(u *Unit) (unitRecord, bool) {
	r := unitRecord{Name: u.Name(), State: u.state}
	if u.machine != nil {
		r.Machine = encode(u.machine.Data())
	}
	if u.flags&perpetual != 0 && u.state == nil {
		return r, false
	}
	return r, u.machine != nil || u.state != nil
}

func (j *Job) record() jobRecord {
	r := jobRecord{ID: j.ID, Unit: j.Unit.Name(), Type: j.Type, State: j.State, Irreversible: j.Irreversible, IgnoreOrder: j.IgnoreOrder,
		Install: j.InstallUSec, Run: j.RunUSec, Tested: j.tested, Asked: j.query != 0 || j.asked, Cause: j.cause, PulledBy: j.pulledBy}
	if j.pulledBy != "" {
		r.PulledAs = j.pulledAs.String()
	}
	return r
}

// Snapshot is the whole state between two Steps: units by name, jobs by id.
func (e *Engine) Snapshot() []byte {
	s := snapshot{Engine: e.engineRecord()}
	for _, u := range e.Units() {
		if r, ok := e.unitRecord(u); ok {
			s.Units = append(s.Units, r)
		}
	}
	for _, j := range e.Jobs() {
		s.Jobs = append(s.Jobs, j.record())
	}
	return encode(s)
}

// Assemble makes a snapshot of records, as they were written one by one.
func Assemble(records map[string][]byte) ([]byte, error) {
	s, err := assemble(records, false)
	return encode(s), err
}

// assemble sorts the records. With raw those of units are left as they are, for [Engine.restoreUnit] to decode once it knows the type of the machine.
func assemble(records map[string][]byte, raw bool) (*snapshot, error) {
	s := &snapshot{}
	var errs []error
	keys := make([]string, 0, len(records))
	for k := range records {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		var err error
		switch {
		case k == keyEngine:
			err = json.Unmarshal(records[k], &s.Engine)
		case strings.HasPrefix(k, keyUnit):
			r := unitRecord{Name: k[len(keyUnit):], raw: records[k]}
			if !raw {
				err = json.Unmarshal(records[k], &r)
			}
			if err == nil {
				s.Units = append(s.Units, r)
			}
		case strings.HasPrefix(k, keyJob):
			var r jobRecord
			if err = json.Unmarshal(records[k], &r); err == nil {
				s.Jobs = append(s.Jobs, r)
			}
		default:
			err = errors.New("unknown key")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("record %s: %w", k, err))
		}
	}
	slices.SortFunc(s.Jobs, func(a, b jobRecord) int { return int(a.ID) - int(b.ID) })
	return s, errors.Join(errs...)
}

// Restore makes an engine of a snapshot. Units are loaded anew from src; what they were doing goes on. What can't be read of
// single units or jobs is left out and told in the error, while the engine is still good; a nil engine comes only with a
// snapshot that is no snapshot. Call CatchUp before the first Step.
func Restore(data []byte, src Source, opt Options) (*Engine, error) {
	var s snapshot
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	if s.Engine.Version > snapshotVersion {
		return nil, fmt.Errorf("snapshot: version %d is newer than %d", s.Engine.Version, snapshotVersion)
	}
	e := New(src, opt)
	err := e.restore(&s)
	return e, err
}

// Restore is the function Restore for an engine that is fresh from New, and records as they were written one by one. Single
// records that can't be read are told in messages of CatchUp; an error means that nothing was restored.
func (e *Engine) Restore(records map[string][]byte) error {
	s, err := assemble(records, true)
	if s.Engine.Version > snapshotVersion {
		return errors.Join(err, fmt.Errorf("records: version %d is newer than %d", s.Engine.Version, snapshotVersion))
	}
	if err := errors.Join(err, e.restore(s)); err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			e.lost = append(e.lost, line)
		}
	}
	return nil
}

func (e *Engine) restore(s *snapshot) error {
	e.lastJob, e.token, e.random.State = s.Engine.LastJob, s.Engine.Token, s.Engine.Random
	e.watchdogsOff = s.Engine.WatchdogsOff
	if s.Engine.Version == 0 {
		e.random.State = e.opt.Seed
	}
	var errs []error
	for _, r := range s.Units {
		if err := e.restoreUnit(r); err != nil {
			errs = append(errs, err)
		}
	}
	for _, r := range s.Jobs {
		if err := e.restoreJob(r); err != nil {
			errs = append(errs, err)
		}
	}
	e.rearm()
	e.out = nil
	return errors.Join(errs...)
}

func (e *Engine) restoreUnit(r unitRecord) error {
	if !unit.ValidName(r.Name, unit.NamePlain|unit.NameInstance) {
		return fmt.Errorf("unit %q: not a unit name", r.Name)
	}
	u := e.load(r.Name)
	if u.state != nil && u.flags&perpetual == 0 {
		return fmt.Errorf("%s: now another name of %s, its state is lost", r.Name, u.Name())
	}
	if err := e.decodeUnit(u, r); err != nil {
		return err
	}
	e.setAside(u)
	if u.ActiveState() == machine.Failed {
		e.failedUnits++
	}
	u.flags |= recorded
	push(&e.touched, u, inTouched)
	e.deferred(u)
	e.linkAutomount(u)
	e.linkSocket(u)
	e.drainLoading()
	s := u.get()
	if n := len(s.PIDs); n > 0 {
		s.PIDs = slices.DeleteFunc(s.PIDs, func(pid int32) bool { return pid <= 0 || e.pids[pid] != nil })
		if len(s.PIDs) != n {
			e.markUnit(u)
		}
	}
	for _, pid := range s.PIDs {
		e.pids[pid] = u
	}
	for _, n := range s.BusNames {
		e.busNames[n] = append(e.busNames[n], u)
	}
	for _, h := range s.Handles {
		e.handles[h] = u
	}
	for _, c := range s.Clients {
		e.clients[c] = append(e.clients[c], u)
	}
	return nil
}

// decodeUnit fills in state and machine of a unit. A record in the form that this program writes is decoded in one go; any other one piece by piece.
func (e *Engine) decodeUnit(u *Unit, r unitRecord) error {
	usual := `{"name":"` + strings.ReplaceAll(r.Name, `\`, `\\`) + `","machine":`
	if u.machine == nil && bytes.HasPrefix(r.raw, []byte(usual)) {
		m := e.kindOf(u).New()
		whole := machineRecord{Machine: m.Data()}
		if err := json.Unmarshal(r.raw, &whole); err != nil {
			return fmt.Errorf("record %s: %w", keyUnit+r.Name, err)
		}
		u.machine, u.state = m, whole.State
		e.trace(u)
		e.misremember(u)
		return nil
	}
	if r.raw != nil {
		if err := json.Unmarshal(r.raw, &r); err != nil {
			return fmt.Errorf("record %s: %w", keyUnit+r.Name, err)
		}
	}
	u.state = r.State
	e.misremember(u)
	if len(r.Machine) == 0 {
		return nil
	}
	if err := json.Unmarshal(r.Machine, e.with(u).Data()); err != nil {
		return fmt.Errorf("%s: state: %w", r.Name, err)
	}
	return nil
}

// misremember is the fault of the simulator in what a restore finds.
func (e *Engine) misremember(u *Unit) {
	if e.opt.SimulateFault == "snapshot" && u.state != nil {
		u.state.StartLimit = rate{}
	}
}

func (e *Engine) restoreJob(r jobRecord) error {
	if !unit.ValidName(r.Unit, unit.NamePlain|unit.NameInstance) || !job.Valid(r.Type) || r.ID == 0 {
		return fmt.Errorf("job %d: %s of %q makes no sense", r.ID, r.Type, r.Unit)
	}
	u := e.load(r.Unit)
	slot := &u.job
	if r.Type == job.Nop {
		slot = &u.nop
	}
	if *slot != nil {
		return fmt.Errorf("job %d: %s has a job already", r.ID, r.Unit)
	}
	j := &Job{ID: r.ID, Unit: u, Type: r.Type, State: r.State, Irreversible: r.Irreversible, IgnoreOrder: r.IgnoreOrder,
		InstallUSec: r.Install, RunUSec: r.Run, cause: r.Cause, tested: r.Tested, pulledBy: r.PulledBy, asked: r.Asked}
	j.pulledAs, _ = unit.DepTypeFromString(r.PulledAs)
	*slot = j
	e.jobs[j.ID] = j
	e.lastJob = max(e.lastJob, j.ID)
	e.changedJob(j)
	e.queueJob(j)
	return nil
}

// CatchUp goes on after Restore: questions that were open are asked again, watches are set up again. Call it once, when
// the shell can carry out effects.
func (e *Engine) CatchUp(now machine.Instant) []machine.Effect {
	e.now = now
	for _, text := range e.lost {
		e.emit(machine.Log{Level: levelError, Text: "State that could not be restored: " + text})
	}
	e.lost = nil
	e.traced = nil
	for _, u := range e.Units() {
		if u.get().Quarantine != nil {
			e.announceQuarantine(u)
			continue
		}
		e.catchUp(u)
	}
	for _, j := range e.Jobs() {
		if j.asked {
			j.asked = false
			e.testConditions(j)
		}
	}
	e.settle()
	out := e.out
	e.out = nil
	return out
}

// quietCatchUp are the types whose CatchUp changes a machine only together with an effect.
var quietCatchUp = [...]bool{unit.TypeService: true, unit.TypeSocket: true, unit.TypeMount: true, unit.TypeDevice: true, unit.TypeSlice: true,
	unit.TypeTarget: true, unit.TypeScope: true, unit.TypeSwap: true, unit.TypeTimer: false, unit.TypePath: false, unit.TypeAutomount: false}

// catchUp lets one unit go on.
func (e *Engine) catchUp(u *Unit) {
	for _, n := range u.get().BusNames {
		e.emit(machine.WatchName{Name: n})
	}
	for _, h := range u.get().Handles {
		e.emit(machine.PollHandle{Handle: h})
	}
	if u.machine != nil && u.flags&removed == 0 {
		// What has nothing to say has changed nothing, and its record need not be written again.
		push(&e.touched, u, inTouched)
		e.trace(u)
		before := len(e.out)
		u.machine.CatchUp(&host{e: e, u: u})
		if len(e.out) != before || !quietCatchUp[u.cfg.Type] {
			e.markUnit(u)
		}
	}
	if f := u.get().Freezer; f == "freezing" || f == "thawing" {
		e.emit(machine.FreezeCgroup{Unit: u.Name(), Thaw: f == "thawing"})
	}
	e.queueCollect(u)
	e.queueDependents(u)
}
