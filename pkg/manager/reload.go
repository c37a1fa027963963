package manager

import (
	"reflect"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/loader"
)

// reload runs the generators and lists the unit directories again on a worker; the loop goes on meanwhile. Then only the units whose definition
// changed are read again. done (which may be nil) is called on the loop when everything has happened.
func (m *Manager) reload(done func(err error)) {
	if done != nil {
		m.reloadWaiters = append(m.reloadWaiters, done)
	}
	if m.reloading {
		m.reloadAgain = true // what changed since the running one began must not be missed
		return
	}
	m.reloading = true
	m.bus.api.Reloading(true)
	m.log.info("", "Reloading.")
	m.notifyReloading()
	run := m.generatorRun()
	path, version := m.src.Path(), m.src.Version()
	queued := m.work.add(func() func() {
		result := run.all()
		cfg, messages, err := loadManagerConfig(m.system, m.opt.Settings)
		now := loader.Scan(path)
		return func() {
			m.generated(result)
			for _, p := range messages {
				m.log.warning("", "%s", p)
			}
			before := m.unitDefaults()
			if err == nil {
				m.applyConfig(cfg)
			}
			m.reloaded(now, version, !reflect.DeepEqual(before, m.unitDefaults()))
		}
	})
	if !queued {
		m.log.err("", "The reload was not begun: the workers are too busy.")
		m.reloadDone()
	}
}

// reloaded swaps the index and tells the engine which loaded units are concerned: all of them if what holds for units that set nothing has changed.
func (m *Manager) reloaded(now *loader.Index, version uint64, all bool) {
	if m.src.Version() != version {
		now = loader.Scan(m.src.Path()) // a transient unit was made meanwhile: the list would miss it
	}
	now.Inherit(m.src.Path(), m.src.Index())
	changes := loader.Compare(m.src.Index(), now)
	m.src.Use(now)
	var changed []string
	if all || !changes.Empty() {
		for _, u := range m.eng.Units() {
			if all || changes.Affects(u.Config().Names) {
				changed = append(changed, u.Name())
			}
		}
	}
	m.submit(machine.Reload{Changed: changed})
	m.bus.api.UnitFilesChanged()
	m.reloadDone()
}

func (m *Manager) reloadDone() {
	m.reloading = false
	m.stamps.ReloadedAt = m.now()
	m.bus.api.Reloading(false)
	waiters := m.reloadWaiters
	m.reloadWaiters = nil
	if m.reloadAgain {
		m.reloadAgain = false
		m.reloadWaiters = waiters
		m.reload(nil)
		return
	}
	m.notifyReady("Ready.")
	for _, done := range waiters {
		done(nil)
	}
}
