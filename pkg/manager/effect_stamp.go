package manager

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/muster-init/muster/pkg/engine/machine"
)

// stampDirectory is where timers with Persistent= keep the time of their last elapse, as the modification time of an empty file (systemd.timer(5)).
func (m *Manager) stampDirectory() string {
	if m.system {
		return "/var/lib/systemd/timers"
	}
	if data := os.Getenv("XDG_DATA_HOME"); data != "" {
		return data + "/systemd/timers"
	}
	return os.Getenv("HOME") + "/.local/share/systemd/timers"
}

// stamps does what concerns one stamp file in the order in which it was asked for, though many workers run.
type stampQueue struct {
	mu    sync.Mutex
	queue []func() func()
	m     *Manager
	busy  bool
}

// add queues work on stamp files.
func (q *stampQueue) add(work func() func()) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queue) >= workQueueMax {
		return false
	}
	q.queue = append(q.queue, work)
	if !q.busy {
		q.busy = q.m.work.add(q.run)
	}
	return q.busy
}

// run does everything that is queued on one worker.
func (q *stampQueue) run() func() {
	for {
		q.mu.Lock()
		if len(q.queue) == 0 {
			q.busy = false
			q.mu.Unlock()
			return nil
		}
		work := q.queue[0]
		q.queue = q.queue[1:]
		q.mu.Unlock()
		if then := work(); then != nil {
			q.m.work.post(then)
		}
	}
}

func (m *Manager) stampPath(unit string) string {
	return filepath.Join(m.stampDirectory(), "stamp-"+unit)
}

// readStamp answers machine.ReadStamp; a stamp that is not there is made, so that the next start of the machine finds when this timer began.
func (m *Manager) readStamp(e machine.ReadStamp) {
	path := m.stampPath(e.Unit)
	m.open(e.Token, nil)
	queued := m.stampFiles.add(func() func() {
		ev := machine.StampRead{Token: e.Token}
		st, err := os.Stat(path)
		switch {
		case err == nil:
			ev.RealtimeUSec = uint64(max(st.ModTime().UnixMicro(), 0))
		case errors.Is(err, os.ErrNotExist):
			err = touchStamp(path, time.Now())
		}
		if err != nil {
			ev.Message = err.Error()
		}
		return func() { m.answer(e.Token, ev) }
	})
	if !queued {
		m.answer(e.Token, machine.StampRead{Token: e.Token, Message: "the manager is too busy to read it"})
	}
}

// touchStamp sets the time of a stamp file, making it and its directory.
func touchStamp(path string, at time.Time) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	_ = f.Close()
	return os.Chtimes(path, at, at)
}

func (m *Manager) writeStamp(e machine.WriteStamp) {
	path := m.stampPath(e.Unit)
	m.stampFiles.add(func() func() {
		if err := touchStamp(path, time.UnixMicro(int64(e.RealtimeUSec))); err != nil {
			return func() { m.log.warning(e.Unit, "The time of this elapse was not kept: %v", err) }
		}
		return nil
	})
}

func (m *Manager) removeStamp(e machine.RemoveStamp) {
	path := m.stampPath(e.Unit)
	m.stampFiles.add(func() func() {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return func() { m.log.warning(e.Unit, "%v", err) }
		}
		return nil
	})
}
