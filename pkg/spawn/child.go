package spawn

import (
	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/kernel"
)

// Child is a started process. Pid and PidFD are those of the embedded
// kernel.Child; the owner reaps it and then calls Close.
type Child struct {
	*kernel.Child
	// StatusFD is the non-blocking read end of the status pipe, -1 for none. It
	// becomes readable when the child executed its program or ended.
	StatusFD int

	marks    []mark
	executor bool
	failure  *plan.Failure
	read     bool
}

// Progress is how far a child came.
type Progress uint8

// The states of Progress.
const (
	Pending  Progress = iota // not executed yet
	Executed                 // execve succeeded
	Failed                   // a step failed; Failure says which
)

// Progress tells how far the child came, without waiting.
func (c *Child) Progress() Progress {
	if c.failure != nil {
		return Failed
	}
	r := c.Result()
	switch {
	case r.Errno != 0:
		c.failure = failure(c.marks, r)
		return Failed
	case r.Pending || !c.executor:
		if r.Executed {
			return Executed
		}
		return Pending
	case c.read || c.StatusFD < 0:
		return Executed
	}
	buf := make([]byte, plan.MaxFailure)
	n, err := unix.Read(c.StatusFD, buf)
	if err != nil {
		return Pending
	}
	c.read = true
	if n == 0 {
		return Executed
	}
	f, err := plan.Decode[plan.Failure](buf[:n])
	if err != nil {
		f = &plan.Failure{Status: plan.ExitException, Setting: "executor", Message: err.Error()}
	}
	c.failure = f
	return Failed
}

// Failure says which step failed, nil if none did so far. It is final once the
// child was reaped.
func (c *Child) Failure() *plan.Failure {
	c.Progress()
	return c.failure
}

// CloseStatus closes the status pipe, once Progress is not Pending any more.
func (c *Child) CloseStatus() {
	if c.StatusFD >= 0 {
		c.Progress()
		c.read = true
		unix.Close(c.StatusFD)
		c.StatusFD = -1
	}
}

// Close gives back what the child holds in the manager: call it once it was
// reaped. Failure stays available.
func (c *Child) Close() {
	c.Release()
	c.Progress()
	c.CloseStatus()
	if c.PidFD >= 0 {
		unix.Close(c.PidFD)
		c.PidFD = -1
	}
	c.marks = nil
}
