package busapi

import (
	"fmt"

	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
)

// verb is a method that queues a job.
type verb struct {
	name     string // as on the Manager interface without "Unit": "Start"
	typ      job.Type
	ifReload bool
}

var verbs = []verb{
	{"Start", job.Start, false}, {"Stop", job.Stop, false}, {"Reload", job.Reload, false}, {"Restart", job.Restart, false},
	{"TryRestart", job.TryRestart, false}, {"ReloadOrRestart", job.Restart, true}, {"ReloadOrTryRestart", job.TryRestart, true},
}

// managerVerbs are StartUnit(name, mode) and its kin.
func managerVerbs() (list []method) {
	for _, v := range verbs {
		list = append(list, method{name: v.name + "Unit", in: "ss", out: "o", args: []string{"name", "mode", "job"}, run: func(k *call) {
			k.enqueue(k.args.String(), v, k.args.String())
		}})
	}
	return append(list,
		method{name: "StartUnitWithFlags", in: "sst", out: "o", args: []string{"name", "mode", "flags", "job"}, run: func(k *call) {
			name, mode := k.args.String(), k.args.String()
			if flags := k.args.Uint64(); flags != 0 {
				k.fail(bus.Errorf(bus.ErrInvalidArgs, "Invalid 'flags' parameter '%d'", flags))
				return
			}
			k.enqueue(name, verbs[0], mode)
		}},
		method{name: "StartUnitReplace", in: "sss", out: "o", args: []string{"old_unit", "new_unit", "mode", "job"}, run: startUnitReplace},
		method{name: "EnqueueMarkedJobs", out: "ao", args: []string{"jobs"}, run: enqueueMarked},
		method{name: "EnqueueUnitJob", in: "sss", out: "uososa(uosos)",
			args: []string{"name", "job_type", "job_mode", "job_id", "job_path", "unit_id", "unit_path", "job_type", "affected_jobs"},
			run:  func(k *call) { k.enqueueDetailed(k.args.String(), k.args.String(), k.args.String()) }},
	)
}

// unitVerbs are Start(mode) and its kin on unit objects.
func unitVerbs() (list []method) {
	for _, v := range verbs {
		list = append(list, method{name: v.name, in: "s", out: "o", args: []string{"mode", "job"}, run: func(k *call) {
			k.enqueue(k.unit, v, k.args.String())
		}})
	}
	return append(list, method{name: "EnqueueJob", in: "ss", out: "uososa(uosos)",
		args: []string{"job_type", "job_mode", "job_id", "job_path", "unit_id", "unit_path", "job_type", "affected_jobs"},
		run:  func(k *call) { k.enqueueDetailed(k.unit, k.args.String(), k.args.String()) }})
}

var modes = map[string]job.Mode{}

func init() {
	for _, m := range []job.Mode{job.Fail, job.LenientMode, job.Replace, job.ReplaceIrreversibly, job.Isolate, job.Flush, job.IgnoreDependencies,
		job.IgnoreRequirements, job.Triggering, job.RestartDependencies} {
		modes[string(m)] = m
	}
}

func modeOf(s string) (job.Mode, error) {
	if m, ok := modes[s]; ok {
		return m, nil
	}
	return "", bus.Errorf(bus.ErrInvalidArgs, "Job mode %s invalid", s)
}

// cause says who asked.
func (k *call) cause() machine.Cause {
	p := k.c.Conn.Peer()
	who := fmt.Sprintf("client %s", k.c.caller(k.msg))
	if k.c.Private {
		who = fmt.Sprintf("pid %d uid %d", p.PID, p.UID)
	} else if k.known {
		who = fmt.Sprintf("pid %d uid %d", k.who.PID, k.who.UID)
	}
	return machine.Cause{Kind: machine.CauseClient, Client: who}
}

// enqueue queues a job and answers with its path.
func (k *call) enqueue(name string, v verb, modeName string) {
	mode, err := modeOf(modeName)
	if err != nil {
		k.fail(err)
		return
	}
	k.s.b.Submit(machine.Enqueue{Unit: name, Type: v.typ, Mode: mode, ReloadIfPossible: v.ifReload, Cause: k.cause(),
		Reply: k.s.b.Request(k.replyJob)})
}

// replyJob answers with the path of the queued job.
func (k *call) replyJob(r machine.SendReply) {
	if r.Err != nil {
		k.fail(engineError(r.Err))
		return
	}
	if len(r.Jobs) == 0 {
		k.ok()
		return
	}
	k.watch(r.Jobs[0])
	k.reply("o", func(e *bus.Encoder) { e.ObjectPath(bus.JobPath(r.Jobs[0])) })
}

// watch makes sure that the client hears of the end of a job it asked for, subscribed or not.
func (k *call) watch(id job.ID) {
	if !k.c.Private {
		k.c.stake = true
		k.s.watchers[id] = k.c
	}
}

// engineError gives a refusal of the engine its D-Bus name.
func engineError(e *machine.Error) error {
	return &bus.Error{Name: bus.ErrorName(e.Name), Message: e.Message}
}

// result answers without a value, or with the engine's refusal.
func (k *call) result(r machine.SendReply) {
	if r.Err != nil {
		k.fail(engineError(r.Err))
		return
	}
	k.ok()
}

// submit hands the engine a request whose answer has no value.
func (k *call) submit(make func(reply machine.Reply) machine.Event) {
	k.s.b.Submit(make(k.s.b.Request(k.result)))
}

func startUnitReplace(k *call) {
	old, name, mode := k.args.String(), k.args.String(), k.args.String()
	u := k.s.b.Engine().Unit(old)
	if u == nil || u.Job() == nil || u.Job().Type != job.Start {
		k.fail(bus.Errorf(bus.ErrNoSuchJob, "No job queued for unit %s", old))
		return
	}
	k.enqueue(name, verbs[0], mode)
}

// jobTypes are the words EnqueueJob takes.
var jobTypes = map[string]verb{
	"start": verbs[0], "stop": verbs[1], "reload": verbs[2], "restart": verbs[3], "try-restart": verbs[4], "reload-or-restart": verbs[5],
	"reload-or-try-restart": verbs[6], "verify-active": {typ: job.VerifyActive},
}

// enqueueDetailed queues a job and answers with it and every other job that the transaction made.
func (k *call) enqueueDetailed(name, typ, modeName string) {
	v, ok := jobTypes[typ]
	if !ok {
		k.fail(bus.Errorf(bus.ErrInvalidArgs, "Job type %s invalid", typ))
		return
	}
	mode, err := modeOf(modeName)
	if err != nil {
		k.fail(err)
		return
	}
	k.s.b.Submit(machine.Enqueue{Unit: name, Type: v.typ, Mode: mode, ReloadIfPossible: v.ifReload, Details: true, Cause: k.cause(),
		Reply: k.s.b.Request(k.replyJobs)})
}

func (k *call) replyJobs(r machine.SendReply) {
	if r.Err != nil {
		k.fail(engineError(r.Err))
		return
	}
	var list []*engine.Job
	for _, id := range r.Jobs {
		if j := k.s.b.Engine().Job(id); j != nil {
			list = append(list, j)
		}
	}
	if len(list) == 0 {
		k.fail(bus.Errorf(bus.ErrNoSuchJob, "The job has ended already."))
		return
	}
	k.reply("uososa(uosos)", func(e *bus.Encoder) {
		writeEnqueued(e, list[0])
		mark := e.BeginArray('(')
		for _, j := range list[1:] {
			e.Struct()
			writeEnqueued(e, j)
		}
		e.EndArray(mark)
	})
}

func writeEnqueued(e *bus.Encoder, j *engine.Job) {
	e.Uint32(j.ID)
	e.ObjectPath(bus.JobPath(j.ID))
	e.String(j.Unit.Name())
	e.ObjectPath(bus.UnitPath(j.Unit.Name()))
	e.String(string(j.Type))
}

// jobInterface is org.freedesktop.systemd1.Job.
func jobInterface() *iface {
	i := &iface{name: ifaceJob, methods: []method{
		{name: "Cancel", run: func(k *call) { k.cancelJob(k.job) }},
		{name: "GetAfter", out: "a(usssoo)", args: []string{"jobs"}, run: func(k *call) { k.relatedJobs(k.job, true) }},
		{name: "GetBefore", out: "a(usssoo)", args: []string{"jobs"}, run: func(k *call) { k.relatedJobs(k.job, false) }},
	}, props: []property{
		{name: "Id", sig: "u", emits: bus.EmitsConst, job: func(_ *Server, j *engine.Job, e *bus.Encoder) { e.Uint32(j.ID) }},
		{name: "Unit", sig: "(so)", emits: bus.EmitsConst, job: func(_ *Server, j *engine.Job, e *bus.Encoder) {
			e.Struct()
			e.String(j.Unit.Name())
			e.ObjectPath(bus.UnitPath(j.Unit.Name()))
		}},
		{name: "JobType", sig: "s", emits: bus.EmitsConst, job: func(_ *Server, j *engine.Job, e *bus.Encoder) { e.String(string(j.Type)) }},
		{name: "State", sig: "s", job: func(_ *Server, j *engine.Job, e *bus.Encoder) { e.String(string(j.State)) }},
		{name: "ActivationDetails", sig: "a(ss)", emits: bus.EmitsConst, job: func(s *Server, j *engine.Job, e *bus.Encoder) {
			writeActivation(e, s.b.Engine().Explain(j))
		}},
	}}
	return i.finish()
}

// writeActivation shows the trigger of a job as pairs of a name and a value.
func writeActivation(e *bus.Encoder, c machine.Cause) {
	mark := e.BeginArray('(')
	if c.Kind == machine.CauseTrigger && c.Unit != "" {
		e.Struct()
		e.String("trigger_unit")
		e.String(c.Unit)
	}
	e.EndArray(mark)
}

func (k *call) cancelJob(id uint32) {
	k.submit(func(r machine.Reply) machine.Event { return machine.CancelJob{ID: id, Reply: r} })
}

// relatedJobs lists the jobs that a job waits for (after) or that wait for it.
func (k *call) relatedJobs(id uint32, after bool) {
	j := k.s.b.Engine().Job(id)
	if j == nil {
		k.fail(bus.Errorf(bus.ErrNoSuchJob, "Job %d does not exist.", id))
		return
	}
	list := k.s.b.Engine().JobsBefore(j)
	if after {
		list = k.s.b.Engine().JobsAfter(j)
	}
	k.reply("a(usssoo)", func(e *bus.Encoder) { writeJobs(e, list) })
}

func writeJobs(e *bus.Encoder, list []*engine.Job) {
	mark := e.BeginArray('(')
	for _, j := range list {
		e.Struct()
		e.Uint32(j.ID)
		e.String(j.Unit.Name())
		e.String(string(j.Type))
		e.String(string(j.State))
		e.ObjectPath(bus.JobPath(j.ID))
		e.ObjectPath(bus.UnitPath(j.Unit.Name()))
	}
	e.EndArray(mark)
}
