package engine

import (
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
)

// query is an open question to the shell.
type query struct {
	u *Unit // the machine that asked, or
	j *Job  // the job whose conditions are tested, or
	// a unit that is about to be unloaded, or
	look *Unit
	// the client whose request about a unit needs the answer
	reply     machine.Reply
	name      string
	mustExist bool
	asked     machine.Effect // what was asked, without the token
	watch     bool           // it may be answered more than once
}

// ask gives the next token.
func (e *Engine) ask(q query) machine.Token {
	e.token++
	e.engineDirty = true
	e.queries[e.token] = q
	return e.token
}

// testConditions asks whether the unit may start. The job goes on in conditionsTested.
func (e *Engine) testConditions(j *Job) {
	j.query = e.ask(query{j: j, asked: machine.TestConditions{}})
	e.changedJob(j)
	e.emit(machine.TestConditions{Token: j.query, Unit: j.Unit.Name()})
}

// noConditions records the result of testing nothing.
func (e *Engine) noConditions(u *Unit) {
	s := u.st()
	s.ConditionsMet, s.AssertsMet = true, true
	s.ConditionAt, s.AssertAt = e.now, e.now
	s.Conditions, s.Asserts = nil, nil
	e.markUnit(u)
}

// conditionsTested goes on with a start job whose conditions are known. A unit whose conditions do not hold is left alone and its
// job is done: those that require it may go on. A failed assert is an error.
func (e *Engine) conditionsTested(j *Job, a machine.ConditionsTested) {
	u := j.Unit
	j.query = 0
	j.tested = true
	e.changedJob(j)
	s := u.st()
	s.ConditionsMet, s.ConditionAt, s.Conditions = a.ConditionsMet, e.now, a.Conditions
	if a.ConditionsMet {
		s.AssertsMet, s.AssertAt, s.Asserts = a.AssertsMet, e.now, a.Asserts
	}
	e.markUnit(u)
	e.emit(machine.UnitChanged{Unit: u.Name(), Active: u.ActiveState(), Sub: u.SubState(), Properties: true})
	switch {
	case !a.ConditionsMet:
		e.logSkipped(u, j, a.Failed)
		e.finish(j, job.Done, true)
	case !a.AssertsMet:
		e.logAssert(u, j, a.Failed)
		e.finish(j, job.Assert, true)
	default:
		e.perform(j)
	}
}
