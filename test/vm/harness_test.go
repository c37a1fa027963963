package vm

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/muster-init/muster/test/container/box"
	"github.com/muster-init/muster/test/vm/image"
	"github.com/muster-init/muster/test/vm/machine"
)

// tries bounds how often a scenario that fails is run again: under emulation, beside other work, time limits are missed
// now and then, on systemd's side too.
const tries = 3

// harness runs the scenarios with one init.
type harness struct {
	program  box.Program
	image    image.Image
	version  int // of the root's systemd
	archive  *image.Archive
	initrd   []byte
	snapshot *machine.Snapshot // an ordinary boot that is done
	shared   *machine.Machine
	boots    int
	passed   int
	failed   []string
	shaky    []string // passed at a later try only
	known    []string // fail because of what is missing, with the reason
	unfit    []string // not for this root or its systemd, with the reason
}

func (h *harness) runAll(t *testing.T, names []string) {
	began, cpu := time.Now(), childrenCPU()
	defer func() {
		h.stopShared(t)
		if err := h.freeSnapshot(); err != nil {
			t.Error(err)
		}
		h.summarize(time.Since(began), childrenCPU()-cpu)
	}()
	for _, name := range names {
		ran, before := false, len(h.known)+len(h.unfit)
		ok := t.Run(name+"/"+h.program.Name, func(t *testing.T) {
			ran = true
			at := time.Now()
			h.runOne(t, name)
			t.Logf("%s on %s: %.0f s", name, h.program.Name, time.Since(at).Seconds())
		})
		switch {
		case ran && !ok:
			h.failed = append(h.failed, name)
		case ran && len(h.known)+len(h.unfit) == before:
			h.passed++
		}
	}
}

// childrenCPU is what the machines and tools that have ended took of the processors.
func childrenCPU() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// summarize notes what TestMain prints behind the long list of the tests.
func (h *harness) summarize(took, cpu time.Duration) {
	say := func(format string, args ...any) { summary = append(summary, fmt.Sprintf(format, args...)) }
	say("virtual machines on %s (%s): %d passed, %d failed, %d not for this root, in %.0f s (%d boots, %.0f s of processor time)",
		h.program.Name, *rootName, h.passed, len(h.failed), len(h.unfit), took.Seconds(), h.boots, cpu.Seconds())
	for _, group := range []struct {
		title string
		list  []string
	}{{"only at a later try", h.shaky}, {"not for this root", h.unfit}, {"not there yet", h.known}, {"failed", h.failed}} {
		for _, text := range group.list {
			say("    %s on %s: %s", group.title, h.program.Name, text)
		}
	}
}

// runOne gives a scenario up to three tries, each on a fresh machine after the first. What needed more than one is said in the end.
func (h *harness) runOne(t *testing.T, name string) {
	own, err := readSpec(filepath.Join("scenarios", name))
	if err != nil {
		t.Fatal(err)
	}
	if why := own.unfit(h.program.Name, *rootName, h.version); why != "" {
		h.unfit = append(h.unfit, name+": "+why)
		return
	}
	missing := h.missing(name)
	for try := 1; ; try++ {
		var failure error
		if own.shared() {
			failure = h.runShared(t, name)
		} else {
			h.stopShared(t)
			failure = h.runOwn(t, name, own)
		}
		switch {
		case failure == nil && missing != "":
			t.Errorf("%s passes on %s now: remove its file \"missing\"", name, h.program.Name)
			return
		case failure == nil:
			if try > 1 {
				h.shaky = append(h.shaky, name)
			}
			return
		case missing != "":
			h.known = append(h.known, name+": "+missing)
			return
		case *once || try == tries:
			t.Errorf("%s on %s: %v", name, h.program.Name, failure)
			return
		}
		t.Logf("%s on %s failed at try %d: %v", name, h.program.Name, try, failure)
	}
}

// missing is why muster can't pass a scenario yet, as in test/scenarios.
func (h *harness) missing(name string) string {
	if h.program.Name != "muster" {
		return ""
	}
	text, err := os.ReadFile(filepath.Join("scenarios", name, "missing"))
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}

// runShared runs a scenario in the shared machine, which is given up when the
// scenario fails.
func (h *harness) runShared(t *testing.T, name string) error {
	if h.shared == nil {
		m, err := h.booted(t, 1)
		if err != nil {
			return err
		}
		h.shared = m
	}
	ctx, cancel := context.WithTimeout(t.Context(), oneTimeout)
	defer cancel()
	result, err := h.shared.Exec(ctx, "bash", "/scenarios/run-one", name)
	if err == nil && result.Code == 0 {
		return nil
	}
	err = h.failure(h.shared, result, err)
	if !*once {
		h.stopShared(t)
	}
	return err
}

// runOwn runs a scenario in a machine of its own, over all its boots to the end it wants.
func (h *harness) runOwn(t *testing.T, name string, own *spec) error {
	m, err := h.ownMachine(t, name, own)
	if err != nil {
		return err
	}
	defer h.stop(t, m)
	ctx, cancel := context.WithTimeout(t.Context(), own.timeout)
	defer cancel()
	for boot := 1; boot <= own.boots; boot++ {
		if boot > 1 {
			h.boots++
			if err := h.reach(ctx, m, own, boot); err != nil {
				return err
			}
		}
		result, err := m.Exec(ctx, "bash", "/scenarios/run-one", name, "own")
		// A script that ends the boot may be killed before it is done.
		cut := (boot < own.boots || own.end != "") && (err != nil && ctx.Err() == nil || result.Code > 128)
		if !cut && (err != nil || result.Code != 0) {
			return h.failure(m, result, err)
		}
	}
	if own.end != "" {
		end, err := m.Wait(ctx)
		if err != nil || end != own.end {
			return fmt.Errorf("want the machine %s, got %q, %v\n%s", own.end, end, err, lastLines(m.Console(), 40))
		}
	}
	if want := own.consoleMisses(m.Console()); want != "" {
		return fmt.Errorf("the console has no %q in its place:\n%s", want, lastLines(m.Console(), 60))
	}
	if own.clean {
		return checkClean(ctx, m.RootDisk())
	}
	return nil
}

// ownMachine is the machine of one scenario, booted with what is its own, or from the snapshot when nothing of the boot is.
func (h *harness) ownMachine(t *testing.T, name string, own *spec) (*machine.Machine, error) {
	dir := filepath.Join("scenarios", name)
	_, noFiles := os.Stat(filepath.Join(dir, "files"))
	_, noUnits := os.Stat(filepath.Join(dir, "units"))
	if noFiles != nil && noUnits != nil && own.ordinary() {
		return h.booted(t, own.boots)
	}
	archive := h.archive.Copy()
	if err := units(archive, dir); err != nil {
		return nil, err
	}
	if err := files(archive, dir); err != nil {
		return nil, err
	}
	if err := modules(archive, h.image, append(own.modules, rootModules...)); err != nil {
		return nil, err
	}
	initrd := archive.Bytes()
	if own.debian {
		var err error
		if initrd, err = behindDebian(archive, h.image); err != nil {
			return nil, err
		}
	}
	return h.boot(t, own, initrd)
}

// booted is a machine with the shared hardware whose ordinary boot is done.
func (h *harness) booted(t *testing.T, boots int) (*machine.Machine, error) {
	ctx, cancel := context.WithTimeout(t.Context(), bootTimeout)
	defer cancel()
	if err := h.ordinary(ctx, t); err != nil {
		return nil, err
	}
	m, err := h.snapshot.Start(ctx, boots)
	if err == nil && *keepDir != "" {
		err = h.sendScenarios(ctx, m)
	}
	return m, err
}

// boot starts a machine and waits for the state it is to reach.
func (h *harness) boot(t *testing.T, own *spec, initrd []byte) (*machine.Machine, error) {
	h.boots++
	m, err := machine.Start(machine.Options{
		Kernel: h.image.Kernel, Initrd: initrd, Root: h.image.Disk, Append: own.appended, Disks: own.disks, Devices: own.devices, SMBIOS: own.smbios, FWCfg: own.fwcfg, Boots: own.boots, CPUs: own.cpus,
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(t.Context(), bootTimeout)
	defer cancel()
	if err := h.reach(ctx, m, own, 1); err != nil {
		h.stop(t, m)
		return nil, err
	}
	return m, nil
}

// reach waits for a boot and its state.
func (h *harness) reach(ctx context.Context, m *machine.Machine, own *spec, boot int) error {
	if err := m.Ready(ctx, boot); err != nil {
		return fmt.Errorf("%w\n%s%s", err, agentLines(m.Console()), lastLines(m.Console(), 40))
	}
	if own.state == "any" {
		return nil
	}
	state, err := m.WaitRunning(ctx)
	if err != nil || state != own.state {
		return fmt.Errorf("boot %d: want state %q, got %q, %v\n%s", boot, own.state, state, err, h.autopsy(m))
	}
	return nil
}

func (h *harness) failure(m *machine.Machine, result machine.Result, err error) error {
	return fmt.Errorf("exit status %d, %v\n%s%s", result.Code, err, lastLines(result.Output, 25), h.autopsy(m))
}

// autopsy is what a machine tells about itself: it may not answer any more.
func (h *harness) autopsy(m *machine.Machine) string {
	text := "console:\n" + lastLines(m.Console(), 15)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	result, err := m.Exec(ctx, "bash", "-c", "systemctl --failed --plain --no-legend; systemctl list-jobs --plain --no-legend; journalctl -b -q --no-pager -p warning -n 15 -o short-monotonic")
	if err != nil {
		return text
	}
	return text + "failed units, jobs, warnings:\n" + lastLines(result.Output, 40)
}

// agentLines are what the agent said of its troubles.
func agentLines(console string) string {
	var out strings.Builder
	for line := range strings.Lines(console) {
		if strings.Contains(line, "agent:") {
			out.WriteString(line)
		}
	}
	return out.String()
}

func (h *harness) stopShared(t *testing.T) {
	if h.shared != nil {
		h.stop(t, h.shared)
		h.shared = nil
	}
}

func (h *harness) stop(t *testing.T, m *machine.Machine) {
	t.Helper()
	if *showConsole || m.Panicked() {
		fmt.Println(m.Console())
	}
	if err := m.Stop(); err != nil {
		t.Error(err)
	}
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	if len(lines) == 1 && lines[0] == "" {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}
