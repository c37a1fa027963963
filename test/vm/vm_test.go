// Package vm runs the scenarios that need a kernel of their own, test/vm/scenarios/NAME,
// in virtual machines: with real systemd and with muster as PID 1 of the same
// Debian disk, swapped in by /sbin/init alone.
//
//	go test ./test/vm -v -init=systemd,muster -run TestVM/NAME
//
// They have the shape and the helpers of test/scenarios and share one machine per
// init; one with a file named `machine` gets its own, see spec.
package vm

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/muster-init/muster/test/container/box"
	"github.com/muster-init/muster/test/root"
	"github.com/muster-init/muster/test/vm/image"
	"github.com/muster-init/muster/test/vm/machine"
)

var (
	initNames   = flag.String("init", "systemd,muster", "inits to run with, comma separated: systemd, muster")
	rootName    = flag.String("root", "trixie-vm", "prepared root to boot: trixie-vm, bookworm-vm")
	once        = flag.Bool("once", false, "try a scenario once only, and keep the shared machine when one fails: for writing scenarios")
	showConsole = flag.Bool("console", false, "print the console of every machine")
)

// shortSet are the scenarios of `go test -short`, which `make test` runs.
var shortSet = []string{"boot", "cgroup-oom", "disk-hotplug"}

// The bounds of one scenario in a shared machine and of a boot: emulation on a
// machine that does other things as well is slow.
const (
	oneTimeout  = 4 * time.Minute
	bootTimeout = 6 * time.Minute
)

// harness runs the scenarios with one init.
type harness struct {
	program box.Program
	image   image.Image
	archive *image.Archive
	initrd  []byte
	shared  *machine.Machine
	passed  int
	failed  []string
	shaky   []string // passed at the second try only
	known   []string // fail because of what is missing, with the reason
}

// TestVM runs the scenarios.
func TestVM(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("preparing the disk of a virtual machine needs root: run `sudo make vm-test`, or `make unit` without them")
	}
	if err := ensureQemu(t.Context()); err != nil {
		// Said aloud, and in the closing lines: nothing of this level was tested.
		fmt.Printf("virtual machines: NOT RUN: %v\n", err)
		t.Skipf("not run, qemu is missing on this machine: %v", err)
	}
	names := scenarioNames(t)
	// One machine at a time: first what shares one, then what has its own.
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(hasOwn(a), hasOwn(b)) })
	if testing.Short() {
		names = shortSet
	}
	spec, err := root.Find(*rootName)
	if err != nil {
		t.Fatal(err)
	}
	img, err := image.Prepare(t.Context(), spec, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	tools := buildTools(t)
	repository, err := box.Repository()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Split(*initNames, ",") {
		h := &harness{image: img}
		if h.program, err = box.FindProgram(t.Context(), name, repository); err != nil {
			t.Fatal(err)
		}
		h.archive = initramfs(t.Context(), t, img, h.program, tools)
		h.initrd = h.archive.Bytes()
		if *lookCommand != "" {
			if err := h.look(t); err != nil {
				t.Error(err)
			}
			continue
		}
		h.runAll(t, names)
	}
}

// hasOwn is 1 for a scenario with a machine of its own.
func hasOwn(name string) int {
	if _, err := os.Stat(filepath.Join("scenarios", name, "machine")); err != nil {
		return 0
	}
	return 1
}

// ensureQemu installs the emulator by apt where it is missing.
func ensureQemu(ctx context.Context) error {
	missing := func() string {
		for _, program := range []string{machine.Program, "qemu-img", "mke2fs", "e2fsck"} {
			if _, err := exec.LookPath(program); err != nil {
				return program
			}
		}
		return ""
	}
	if missing() == "" {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("%s is missing, and there is no apt-get to install it", missing())
	}
	fmt.Println("virtual machines: installing qemu by apt-get")
	for _, args := range [][]string{
		{"update", "-qq"},
		{"install", "-qq", "-y", "--no-install-recommends", "qemu-system-x86", "qemu-utils", "e2fsprogs"},
	} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		// An update may fail for one foreign source; the install then tells.
		if out, err := cmd.CombinedOutput(); err != nil && args[0] == "install" {
			return fmt.Errorf("apt-get can't install qemu-system-x86: %w: %s", err, lastLines(string(out), 3))
		}
	}
	if name := missing(); name != "" {
		return fmt.Errorf("%s is missing after apt-get installed qemu", name)
	}
	return nil
}

func (h *harness) runAll(t *testing.T, names []string) {
	began := time.Now()
	defer h.stopShared(t)
	for _, name := range names {
		ran := false
		ok := t.Run(name+"/"+h.program.Name, func(t *testing.T) {
			ran = true
			h.runOne(t, name)
		})
		known := slices.ContainsFunc(h.known, func(k string) bool { return strings.HasPrefix(k, name+": ") })
		switch {
		case ran && !ok:
			h.failed = append(h.failed, name)
		case ran && !known:
			h.passed++
		}
	}
	fmt.Printf("virtual machines on %s (%s): %d passed, %d failed, in %.0f s\n", h.program.Name, *rootName, h.passed, len(h.failed), time.Since(began).Seconds())
	for title, list := range map[string][]string{"only at the second try": h.shaky, "not there yet": h.known, "failed": h.failed} {
		for _, text := range list {
			fmt.Printf("    %s on %s: %s\n", title, h.program.Name, text)
		}
	}
}

// runOne runs a scenario; one that fails is run once more, on a machine of its
// own, because emulation on a busy machine is slow: that is said in the end.
func (h *harness) runOne(t *testing.T, name string) {
	dir := filepath.Join("scenarios", name)
	own, err := readSpec(dir)
	if err != nil {
		t.Fatal(err)
	}
	try := func() error {
		if own != nil {
			h.stopShared(t)
			return h.runOwn(t, name, own)
		}
		return h.runShared(t, name)
	}
	first := try()
	missing := h.missing(name)
	switch {
	case first == nil && missing != "":
		t.Errorf("%s passes on %s now: remove its file \"missing\"", name, h.program.Name)
	case first != nil && missing != "":
		h.known = append(h.known, name+": "+missing)
	case first != nil && *once:
		t.Errorf("%s on %s: %v", name, h.program.Name, first)
	case first != nil:
		if second := try(); second != nil {
			t.Errorf("%s on %s: %v\nat the first try: %s", name, h.program.Name, second, lastLines(first.Error(), 10))
			return
		}
		h.shaky = append(h.shaky, name)
		t.Logf("%s on %s failed at the first try: %v", name, h.program.Name, first)
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
		m, err := h.boot(t, sharedSpec(), h.initrd)
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
	archive := h.archive.Copy()
	dir := filepath.Join("scenarios", name)
	if err := units(archive, dir); err != nil {
		return err
	}
	if err := files(archive, dir); err != nil {
		return err
	}
	if err := modules(archive, h.image, append(own.modules, rootModules...)); err != nil {
		return err
	}
	initrd := archive.Bytes()
	if own.debian {
		var err error
		if initrd, err = behindDebian(archive, h.image); err != nil {
			return err
		}
	}
	m, err := h.boot(t, own, initrd)
	if err != nil {
		return err
	}
	defer h.stop(t, m)
	ctx, cancel := context.WithTimeout(t.Context(), own.timeout)
	defer cancel()
	for boot := 1; boot <= own.boots; boot++ {
		if boot > 1 {
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

// boot starts a machine and waits for the state it is to reach.
func (h *harness) boot(t *testing.T, own *spec, initrd []byte) (*machine.Machine, error) {
	m, err := machine.Start(machine.Options{
		Kernel: h.image.Kernel, Initrd: initrd, Root: h.image.Disk, Append: own.appended, Disks: own.disks, Devices: own.devices, Boots: own.boots, CPUs: own.cpus,
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
		return fmt.Errorf("%w\n%s", err, lastLines(m.Console(), 40))
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
