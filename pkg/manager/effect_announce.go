package manager

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/journal"
	"github.com/muster-init/muster/pkg/unit/value"
)

// logEffect writes a message of the engine to the log and, where it has a status, to the console.
func (m *Manager) logEffect(e machine.Log) {
	fields := e.Fields
	if id := messageID(e.Kind); id != "" {
		fields = append(fields[:len(fields):len(fields)], "MESSAGE_ID="+id)
	}
	if e.Job != 0 {
		fields = append(fields[:len(fields):len(fields)], fmt.Sprintf("JOB_ID=%d", e.Job))
	}
	id := m.eng.InvocationID(e.Unit)
	if e.Unit != "" && id != "" {
		fields = append(fields[:len(fields):len(fields)], m.invocationKey()+id)
	}
	switch e.Kind {
	case "unit-success", "unit-failure-result", "unit-skipped":
		m.used.down[e.Unit] = id
	}
	m.log.write(e.Level, e.Unit, fields, "%s", e.Text)
	if e.Console != "" {
		m.console.status(e.Status, "%s", e.Console)
	}
}

// invocationKey is the field of the journal with the invocation of a unit.
func (m *Manager) invocationKey() string {
	if m.system {
		return "INVOCATION_ID="
	}
	return "USER_INVOCATION_ID="
}

// afterAnnounce is what the shell itself does when units and jobs change.
func (m *Manager) afterAnnounce(effect machine.Effect) {
	switch e := effect.(type) {
	case machine.UnitChanged:
		m.unitChanged(e)
	case machine.UnitRemoved:
		m.forgetUsage(e.Unit)
		delete(m.liveResults, e.Unit)
		m.removeTransient(e.Unit)
		m.spawner.forgetJournal(e.Unit)
		delete(m.spawner.degraded, e.Unit)
	case machine.JobNew:
		m.installedJobs++
		if e.Unit == "shutdown.target" {
			m.cg.refresh("") // the Startup…= settings hold again
		}
	case machine.JobRemoved:
		if e.Result != "done" && e.Result != "skipped" && e.Result != "canceled" {
			m.failedJobs++
		}
		m.idlePipe.jobRemoved(m.eng)
		if !m.booted && m.eng.JobCount() == 0 {
			m.bootFinished()
		}
	}
}

// unitChanged reacts to units that the manager itself depends on.
func (m *Manager) unitChanged(e machine.UnitChanged) {
	if !e.Active.IsActiveOrReloading() {
		return
	}
	switch e.Unit {
	case "basic.target":
		if !m.system && !m.booted {
			// A login waits for the user's manager; it must not wait for all that the user starts.
			m.notifyReady("Reached basic.target.")
		}
	case "dbus.service", "dbus-broker.service":
		m.bus.connectBroker()
	case "systemd-journald.service", "systemd-journald.socket":
		m.journalUp()
	}
}

// bootFinished records and announces the end of the boot, once.
func (m *Manager) bootFinished() {
	m.booted = true
	m.stamps.Finish = m.now()
	userspace := m.stamps.Finish.Monotonic - m.stamps.Userspace.Monotonic
	m.log.write(6, "", []string{"MESSAGE_ID=" + journal.MsgStartupFinished,
		fmt.Sprintf("USERSPACE_USEC=%d", userspace)}, "Startup finished in %s.", span(userspace))
	m.bus.api.StartupFinished()
	m.notifyReady("Startup finished in " + span(userspace) + ".")
	m.console.trouble = false
	m.opt.ConfirmSpawn = "" // it is about the boot; a manager that is executed anew afterwards asks again
	m.saveShell()
	m.cg.refresh("")
	m.freeMemory()
}

// messageIDs joins the names that the engine gives its messages with the IDs of the journal's catalog.
var messageIDs = map[string]string{
	"unit-starting": journal.MsgUnitStarting, "unit-started": journal.MsgUnitStarted, "unit-failed": journal.MsgUnitFailed,
	"unit-stopping": journal.MsgUnitStopping, "unit-stopped": journal.MsgUnitStopped, "unit-reloading": journal.MsgUnitReloading,
	"unit-reloaded": journal.MsgUnitReloaded, "unit-skipped": journal.MsgUnitSkipped, "unit-restart-scheduled": journal.MsgUnitRestartScheduled,
	"unit-entered-failed": journal.MsgUnitFailureResult, "unit-failure-result": journal.MsgUnitFailureResult, "unit-success": journal.MsgUnitSuccess,
	"unit-process-exit": journal.MsgUnitProcessExit, "unit-resources": journal.MsgUnitResources, "unit-out-of-memory": journal.MsgUnitOutOfMemory,
	"spawn-failed": journal.MsgSpawnFailed, "invalid-configuration": journal.MsgInvalidConfiguration,
}

func messageID(kind string) string { return messageIDs[kind] }

// journalUp is called when journald has come up: from here on it gets the messages.
func (m *Manager) journalUp() {
	if m.log.native >= 0 {
		_ = unix.Close(m.log.native)
	}
	m.log.native = -1
}

// span is a time for people.
func span(usec uint64) string { return value.FormatSpan(value.USec(usec), 1000) }

// removeTransient removes the files of a transient unit when it is unloaded; they lie below /run.
func (m *Manager) removeTransient(name string) {
	path := filepath.Join(m.transientDir(), name)
	if !m.src.RemoveTransient(name, path) {
		return
	}
	_ = os.Remove(path)
	_ = os.RemoveAll(path + ".d")
	m.src.RefreshDropIns(name)
}
