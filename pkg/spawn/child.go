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
	notices  []*plan.Failure
	unread   []byte // of the status pipe, part of a message
	ended    bool   // the status pipe was read to its end
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
	}
	c.receive()
	switch {
	case c.failure != nil:
		return Failed
	case c.ended || c.StatusFD < 0:
		return Executed
	}
	return Pending
}

// receive reads what the executor said so far.
func (c *Child) receive() {
	buf := make([]byte, plan.MaxFailure)
	for !c.ended && c.StatusFD >= 0 {
		n, err := unix.Read(c.StatusFD, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return
		}
		if n == 0 {
			c.ended = true
			return
		}
		c.unread = append(c.unread, buf[:n]...)
		for {
			f, rest, err := plan.NextMessage(c.unread)
			if err != nil {
				f, rest = &plan.Failure{Status: plan.ExitException, Setting: "executor", Message: err.Error()}, nil
			}
			if f == nil {
				break
			}
			c.unread = rest
			if f.Status != 0 {
				c.failure = f
			} else if len(c.notices) < maxNotices {
				c.notices = append(c.notices, f)
			}
		}
	}
}

// maxNotices bounds what an executor may tell beside its failure.
const maxNotices = 16

// Notices are settings that could not be applied where systemd goes on without
// them, for the log. They are known once Progress is not Pending any more.
func (c *Child) Notices() []*plan.Failure { return c.notices }

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
		c.ended = true
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
