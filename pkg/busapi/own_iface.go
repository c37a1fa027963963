package busapi

import (
	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/journal"
	"github.com/muster-init/muster/pkg/unit"
)

// muster's own interface: what musterctl's own verbs need and systemd has no word for.
//
//	Plan(unit, type, mode)  the jobs a request would make, without making them
//	Why(unit)               the job of a unit and the last one that ended, with what caused them
//	Logs(unit, n, cursor)   lines of the memory log: the last n (cursor 0), or up to n that came after cursor
const (
	ownPath  = "/io/muster/Manager1"
	ifaceOwn = "io.muster.Manager1"
)

const (
	causeSig   = "(sssss)" // kind, unit, directive, file:line, client
	planSig    = "a(sss" + causeSig + "b)a(sss)ss"
	whySig     = "a(usss" + causeSig + "t)"
	logSig     = "a(ttsiybss)tb"
	logMax     = 10000 // records in one answer
	endedMax   = 4096  // units whose last job is remembered
	memoryNote = "no memory log: journald keeps the logs"
)

// memoryLog is what a backend may have: the lines kept while there is no journald.
type memoryLog interface {
	MemoryLog() *journal.Memory
}

// endedJobs remembers the last job of each unit that had one, oldest first out.
type endedJobs struct {
	jobs  map[string]endedJob
	order []string
}

type endedJob struct {
	machine.JobRemoved
	realtimeUSec uint64
}

func (l *endedJobs) add(e machine.JobRemoved, now uint64) {
	if l.jobs == nil {
		l.jobs = map[string]endedJob{}
	}
	if _, ok := l.jobs[e.Unit]; !ok {
		if len(l.order) >= endedMax {
			delete(l.jobs, l.order[0])
			l.order = l.order[1:]
		}
		l.order = append(l.order, e.Unit)
	}
	l.jobs[e.Unit] = endedJob{e, now}
}

// forget drops a unit that is no longer loaded.
func (l *endedJobs) forget(name string) {
	if _, ok := l.jobs[name]; !ok {
		return
	}
	delete(l.jobs, name)
	for i, n := range l.order {
		if n == name {
			l.order = append(l.order[:i], l.order[i+1:]...)
			return
		}
	}
}

func ownInterface() *iface {
	i := &iface{name: ifaceOwn, methods: []method{
		{name: "Plan", in: "sss", out: planSig, args: []string{"unit", "type", "mode", "jobs", "dropped", "error", "message"}, privileged: true, run: planMethod},
		{name: "Why", in: "s", out: whySig, args: []string{"unit", "jobs"}, privileged: true, run: whyMethod},
		{name: "Logs", in: "sut", out: logSig, args: []string{"unit", "n", "cursor", "lines", "cursor", "lost"}, privileged: true, run: logsMethod},
	}}
	return i.finish()
}

func planMethod(k *call) {
	name, typ, modeName := k.args.String(), job.Type(k.args.String()), k.args.String()
	mode, err := modeOf(modeName)
	switch {
	case err != nil:
		k.fail(err)
		return
	case !job.Valid(typ):
		k.fail(bus.Errorf(bus.ErrInvalidArgs, "Job type %s invalid", typ))
		return
	case unit.Form(name)&(unit.NamePlain|unit.NameInstance) == 0:
		k.fail(bus.Errorf(bus.ErrInvalidArgs, "Unit name %s is not valid.", name))
		return
	}
	p := k.s.b.Engine().Plan(name, typ, mode)
	k.reply(planSig, func(e *bus.Encoder) { writePlan(e, p) })
}

func writePlan(e *bus.Encoder, p engine.Plan) {
	mark := e.BeginArray('(')
	for _, j := range p.Jobs {
		e.Struct()
		e.String(j.Unit)
		e.String(string(j.Type))
		e.String(string(j.Replaces))
		writeCause(e, j.Cause)
		e.Bool(j.Required)
	}
	e.EndArray(mark)
	mark = e.BeginArray('(')
	for _, d := range p.Dropped {
		e.Struct()
		e.String(d.Unit)
		e.String(string(d.Type))
		e.String(d.Reason)
	}
	e.EndArray(mark)
	name, message := "", ""
	if p.Err != nil {
		failed := bus.ErrorOf(engineError(p.Err))
		name, message = string(failed.Name), failed.Message
	}
	e.String(name)
	e.String(message)
}

func writeCause(e *bus.Encoder, c machine.Cause) {
	e.Struct()
	e.String(string(c.Kind))
	e.String(c.Unit)
	e.String(c.Directive)
	e.String(c.Where)
	e.String(c.Client)
}

func whyMethod(k *call) {
	u, err := k.s.loadUnit(k.args.String())
	if err != nil {
		k.fail(err)
		return
	}
	k.reply(whySig, func(e *bus.Encoder) {
		mark := e.BeginArray('(')
		if j := u.Job(); j != nil {
			writeWhy(e, j.ID, u.Name(), j.Type, "", k.s.b.Engine().Explain(j), 0)
		}
		if last, ok := k.s.ended.jobs[u.Name()]; ok {
			writeWhy(e, 0, u.Name(), last.Type, last.Result, last.Cause, last.realtimeUSec)
		}
		e.EndArray(mark)
	})
}

func writeWhy(e *bus.Encoder, id uint32, name string, t job.Type, r job.Result, c machine.Cause, realtimeUSec uint64) {
	e.Struct()
	e.Uint32(id)
	e.String(name)
	e.String(string(t))
	e.String(string(r))
	writeCause(e, c)
	e.Uint64(realtimeUSec)
}

func logsMethod(k *call) {
	source, ok := k.s.b.(memoryLog)
	if !ok {
		k.fail(bus.Errorf(bus.ErrNotSupported, memoryNote))
		return
	}
	name, n, after := k.args.String(), min(k.args.Uint32(), logMax), k.args.Uint64()
	var match func(string) bool
	if name != "" {
		match = func(u string) bool { return u == name }
	}
	lines := source.MemoryLog()
	var records []journal.Record
	cursor, lost := journal.Cursor{After: after, Match: match}, false
	if after == 0 {
		records = lines.Tail(match, int(n))
		cursor.After = lines.Last()
	} else {
		records, lost = lines.Follow(&cursor, int(n))
	}
	k.reply(logSig, func(e *bus.Encoder) {
		mark := e.BeginArray('(')
		for _, r := range records {
			e.Struct()
			e.Uint64(r.RealtimeUSec)
			e.Uint64(r.MonotonicUSec)
			e.String(r.Unit)
			e.Int32(r.PID)
			e.Byte(r.Priority)
			e.Bool(r.Manager)
			e.String(r.Identifier)
			e.String(r.Text)
		}
		e.EndArray(mark)
		e.Uint64(cursor.After)
		e.Bool(lost)
	})
}
