package manager

import (
	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/engine"
)

// idleHoldUSec is how long a Type=idle service is held back at most while other jobs are queued (systemd.service(5)).
const idleHoldUSec = 5_000_000

// idlePipe holds back the programs of Type=idle services: their children wait until the write end is closed, which happens when the job queue has
// become empty.
type idlePipe struct{ read, write int }

func newIdlePipe() *idlePipe { return &idlePipe{-1, -1} }

// readEnd gives the end that a child waits for, -1 if there is nothing to wait for.
func (p *idlePipe) readEnd(e *engine.Engine) int {
	if _, jobs := e.Len(); jobs <= 1 {
		return 0 // only its own job
	}
	if p.read < 0 {
		var fds [2]int
		if unix.Pipe2(fds[:], unix.O_CLOEXEC) != nil {
			return 0
		}
		p.read, p.write = fds[0], fds[1]
	}
	return p.read
}

// jobRemoved lets everybody go once the queue is empty.
func (p *idlePipe) jobRemoved(e *engine.Engine) {
	if _, jobs := e.Len(); jobs > 0 || p.read < 0 {
		return
	}
	_ = unix.Close(p.read)
	_ = unix.Close(p.write)
	p.read, p.write = -1, -1
}
