package ctl

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// runService starts the service and, where asked, waits for its end.
func (r *transientRun) runService() int {
	name, ok := r.unitName(".service")
	if !ok {
		return exitFailure
	}
	if r.pty {
		pair, err := openPTY()
		if err != nil {
			r.errorf("Failed to open pseudo TTY: %s", errnoText(err))
			return exitFailure
		}
		r.terminal = pair
		defer pair.close()
	}
	follow := r.wait || r.pipe || r.pty
	job, status := r.startService(name, follow)
	if status != 0 {
		return status
	}
	if !r.noBlock && !r.pty {
		if status := r.waitJobs([]waitingJob{{path: job, unit: name, verb: "start"}}); status != 0 {
			return status
		}
	}
	r.announce(name, r.invocation(name))
	if !follow {
		return 0
	}
	if r.pty && !r.o.quiet {
		r.notef("Press ^] three times within 1s to disconnect TTY.")
	}
	return r.waitService(name)
}

// startService makes the service. A unit that is waited for needs a reference, which some managers only give to peers on the message bus.
func (r *transientRun) startService(name string, follow bool) (bus.ObjectPath, int) {
	r.addRef = follow
	for {
		list, err := r.serviceProperties()
		if err != nil {
			r.errorf("%s", err)
			return "", exitFailure
		}
		if err := r.prepareWait(follow); err != nil {
			r.errorf("Could not watch jobs: %s", errorText(err))
			return "", exitFailure
		}
		job, err := r.startTransient(name, list)
		if err == nil {
			return job, 0
		}
		if r.addRef && r.bus.Name() == "" && hasName(err, bus.ErrInvalidArgs) && r.useBus() {
			continue
		}
		r.errorf("Failed to start transient service unit: %s", errorText(err))
		return "", exitFailure
	}
}

// useBus goes on over the message bus.
func (r *transientRun) useBus() bool {
	if r.DialBus == nil || r.o.scope != scopeSystem {
		return false
	}
	c, err := r.DialBus()
	if err != nil {
		return false
	}
	r.bus.Close()
	r.bus = c
	c.OnSignal = r.systemctl.wait.take
	return true
}

// prepareWait makes the signals come that a wait needs.
func (r *transientRun) prepareWait(follow bool) error {
	if err := r.watchJobs(); err != nil {
		return err
	}
	if follow {
		return r.watchUnits()
	}
	return nil
}

// announce tells the name of the unit and the invocation id, where there is one yet.
func (r *transientRun) announce(name, id string) {
	switch {
	case r.o.quiet:
	case strings.HasPrefix(r.o.output, "json"):
		out := jsonObject{{"unit", name}}
		if id != "" {
			out = append(out, jsonField{"invocation_id", id})
		}
		r.printf("%s\n", formatJSON(out, r.o.output == "json-pretty"))
		r.Flush()
	case id != "":
		r.notef("Running as unit: %s; invocation ID: %s", name, id)
	default:
		r.notef("Running as unit: %s", name)
	}
}

// invocation is the invocation id, nothing where there is none yet.
func (r *transientRun) invocation(name string) string {
	v, err := r.unitProperty(name, "InvocationID")
	if err != nil {
		return ""
	}
	return bytesProperty("InvocationID", bytesOf(v))
}

// waitService waits until the service has ended, passing terminal traffic on meanwhile, and tells how it went.
func (r *transientRun) waitService(name string) int {
	var forward *ptyForward
	if r.pty {
		var err error
		if forward, err = r.terminal.forward(r.InTerminal); err != nil {
			r.errorf("Failed to set up PTY forwarder: %s", errnoText(err))
			return exitFailure
		}
		forward.tint = newTint(r.ptyBackground())
		defer forward.stop()
	}
	for {
		p, err := unitProperties(r.bus, name)
		if err != nil {
			r.errorf("Failed to get unit state: %s", errorText(err))
			return exitFailure
		}
		if active := p.str("ActiveState"); r.jobID(p) == 0 && (active == "inactive" || active == "failed") {
			if forward != nil {
				forward.finish()
			}
			return r.reportService(p)
		}
		if forward != nil {
			if left, err := forward.turn(r.bus); err != nil || left {
				return 0
			}
			continue
		}
		if _, err := r.bus.Process(-1); err != nil {
			r.errorf("Failed to wait: %s", errorText(err))
			return exitFailure
		}
	}
}

// ptyBackground is the colour for what the service prints, "" where none was asked for or our output shows none.
func (r *transientRun) ptyBackground() string {
	if !r.OutTerminal || !r.colors() {
		return ""
	}
	return r.background
}

// reportService tells how the service ended, and gives our own exit status for it.
func (r *transientRun) reportService(p properties) int {
	result := p.str("Result")
	code, status := p.number("ExecMainCode"), p.number("ExecMainStatus")
	if r.wait && !r.o.quiet {
		r.reportUsage(p, result, code, status)
	}
	switch {
	case result == "success":
		return 0
	case result == "exit-code" && code == 1 && status > 0:
		return int(status & 0xff)
	case result == "signal" || result == "core-dump":
		return 255
	}
	return exitFailure
}

func (r *transientRun) reportUsage(p properties, result string, code, status uint64) {
	r.notef("Finished with result: %s", result)
	switch code {
	case 1:
		r.notef("Main processes terminated with: code=exited, status=%d/%s", status, orDefault(value.ExitStatus(status).Name(), strconv.FormatUint(status, 10)))
	case 2, 3:
		r.notef("Main processes terminated with: code=%s, status=%d/%s", codeName(code), status, strings.TrimPrefix(value.Signal(status).String(), "SIG"))
	}
	from, to := p.number("InactiveExitTimestampMonotonic"), p.number("InactiveEnterTimestampMonotonic")
	if from > 0 && to > from {
		r.notef("Service runtime: %s", value.FormatSpan(value.USec(to-from), value.USecPerMSec))
	}
	if n := p.number("CPUUsageNSec"); p.has("CPUUsageNSec") && known(n) {
		r.notef("CPU time consumed: %s", value.FormatSpan(value.USec((n+999)/1000), value.USecPerMSec))
	}
	if n := p.number("MemoryPeak"); p.has("MemoryPeak") && known(n) {
		swap := ""
		if s := p.number("MemorySwapPeak"); p.has("MemorySwapPeak") && known(s) {
			swap = fmt.Sprintf(" (swap: %s)", value.FormatBytes(s))
		}
		r.notef("Memory peak: %s%s", value.FormatBytes(n), swap)
	}
	if in, out := p.number("IPIngressBytes"), p.number("IPEgressBytes"); p.has("IPIngressBytes") && known(in) && known(out) {
		r.notef("IP traffic received: %s, sent: %s", value.FormatBytes(in), value.FormatBytes(out))
	}
	if in, out := p.number("IOReadBytes"), p.number("IOWriteBytes"); p.has("IOReadBytes") && known(in) && known(out) {
		r.notef("IO bytes read: %s, written: %s", value.FormatBytes(in), value.FormatBytes(out))
	}
}

// runScope puts this process into a scope and executes the command in its place.
func (r *transientRun) runScope() int {
	name, ok := r.unitName(".scope")
	if !ok {
		return exitFailure
	}
	list, err := r.commonProperties(unit.TypeScope)
	if err != nil {
		r.errorf("%s", err)
		return exitFailure
	}
	list = append(list, assignment{"PIDs", "au", func(e *bus.Encoder) {
		mark := e.BeginArray('u')
		e.Uint32(uint32(os.Getpid()))
		e.EndArray(mark)
	}})
	if err := r.watchJobs(); err != nil {
		r.errorf("Could not watch jobs: %s", errorText(err))
		return exitFailure
	}
	job, err := r.startTransient(name, list)
	if err != nil {
		r.errorf("Failed to start transient scope unit: %s", errorText(err))
		return exitFailure
	}
	if status := r.waitJobs([]waitingJob{{path: job, unit: name, verb: "start"}}); status != 0 {
		return status
	}
	id := r.invocation(name)
	env := append(r.Environ(), r.environment...)
	if id != "" {
		env = append(env, "INVOCATION_ID="+id)
	}
	r.announce(name, id)
	r.bus.Close()
	r.bus = nil
	return r.becomeCommand(env)
}

// becomeCommand takes the identity asked for and executes the command.
func (r *transientRun) becomeCommand(env []string) int {
	if r.nice != "" {
		n, _ := value.ParseNice(r.nice)
		if err := unix.Setpriority(unix.PRIO_PROCESS, 0, n); err != nil {
			r.errorf("Failed to set nice level: %s", errnoText(err))
			return exitFailure
		}
	}
	if r.sameDir || r.workingDirectory != "" {
		if dir := r.workingDirectory; dir != "" {
			if err := os.Chdir(dir); err != nil {
				r.errorf("Failed to change working directory: %s", errnoText(err))
				return exitFailure
			}
		}
	}
	more, err := r.changeUser()
	if err != nil {
		r.errorf("%s", err)
		return exitFailure
	}
	env = append(env, more...)
	program, err := exec.LookPath(r.command[0])
	if err != nil {
		r.errorf("Failed to find executable %s: %s", r.command[0], errnoText(err))
		return exitFailure
	}
	r.Flush()
	err = unix.Exec(program, r.command, value.MergeEnvironment(nil, env))
	r.errorf("Failed to execute: %s", errnoText(err))
	return exitFailure
}

// changeUser takes the user and group of --uid= and --gid=.
func (r *transientRun) changeUser() (env []string, err error) {
	if r.gid != "" {
		gid, err := lookupGroup(r.gid)
		if err != nil {
			return nil, err
		}
		if err := syscall.Setresgid(gid, gid, gid); err != nil {
			return nil, fmt.Errorf("Failed to change GID to %d: %s", gid, errnoText(err))
		}
	}
	if r.uid == "" {
		return nil, nil
	}
	u, err := lookupUser(r.uid)
	if err != nil {
		return nil, err
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if r.gid == "" {
		if err := syscall.Setgroups([]int{gid}); err != nil {
			return nil, fmt.Errorf("Failed to change groups: %s", errnoText(err))
		}
		if err := syscall.Setresgid(gid, gid, gid); err != nil {
			return nil, fmt.Errorf("Failed to change GID to %d: %s", gid, errnoText(err))
		}
	}
	if err := syscall.Setresuid(uid, uid, uid); err != nil {
		return nil, fmt.Errorf("Failed to change UID to %d: %s", uid, errnoText(err))
	}
	if u.Username == "" {
		return nil, nil
	}
	return []string{"HOME=" + u.HomeDir, "USER=" + u.Username, "LOGNAME=" + u.Username}, nil
}

// runTrigger makes a timer, path unit or socket, and the service that it starts.
func (r *transientRun) runTrigger() int {
	kind := r.trigger()
	name, ok := r.unitName(".service")
	if !ok {
		return exitFailure
	}
	base := strings.TrimSuffix(name, ".service")
	trigger := base + "." + kind
	t := unit.TypeOf(trigger)
	texts := append(append([]string{}, r.timers...), r.timerProperties...)
	switch kind {
	case "path":
		texts = r.pathProperties
	case "socket":
		texts = r.socketProperties
	}
	description := r.description
	if description == "" {
		description = trigger
	}
	list := one("Description", "s", func(e *bus.Encoder) { e.String(description) })
	for _, text := range texts {
		a, err := parseAssignment(t, text)
		if err != nil {
			r.errorf("%s", assignmentError(text, err))
			return exitFailure
		}
		list = append(list, a...)
	}
	if kind == "timer" && r.unit == "" || kind == "timer" && len(r.command) > 0 {
		// The timer goes when it has nothing left to do.
		list = append(list, one("RemainAfterElapse", "b", func(e *bus.Encoder) { e.Bool(false) })...)
	}
	var more []transientUnit
	if len(r.command) > 0 {
		service, err := r.serviceProperties()
		if err != nil {
			r.errorf("%s", err)
			return exitFailure
		}
		more = append(more, transientUnit{name, service})
	}
	if err := r.watchJobs(); err != nil {
		r.errorf("Could not watch jobs: %s", errorText(err))
		return exitFailure
	}
	job, err := r.startTransient(trigger, list, more...)
	if err != nil {
		r.errorf("Failed to start transient %s unit: %s", kind, errorText(err))
		return exitFailure
	}
	if status := r.waitJobs([]waitingJob{{path: job, unit: trigger, verb: "start"}}); status != 0 {
		return status
	}
	if !r.o.quiet {
		r.notef("Running %s as unit: %s", kind, trigger)
		if len(r.command) > 0 {
			r.notef("Will run service as unit: %s", name)
		}
	}
	return 0
}
