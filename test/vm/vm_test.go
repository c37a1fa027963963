// Package vm runs the scenarios that need a kernel of their own, test/vm/scenarios/NAME,
// in virtual machines: with real systemd and with muster as PID 1 of the same
// Debian disk, swapped in by /sbin/init alone.
//
//	go test ./test/vm -v -init=systemd,muster -run TestVM/NAME
//
// They have the shape and the helpers of test/scenarios and share one machine per
// init; one with a file named `machine` may get its own, see spec. An ordinary boot
// is paid once per init: all that begin after it start from a snapshot.
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

// summary is what stands at the end of the output.
var summary []string

func TestMain(m *testing.M) {
	code := m.Run()
	for _, line := range summary {
		fmt.Println(line)
	}
	os.Exit(code)
}

// TestVM runs the scenarios.
func TestVM(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("preparing the disk of a virtual machine needs root: run `sudo make vm-test`, or `make unit` without them")
	}
	if err := ensureQemu(t.Context()); err != nil {
		// Said aloud, and in the closing lines: nothing of this level was tested.
		summary = append(summary, fmt.Sprintf("virtual machines: NOT RUN: %v", err))
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
	version, err := img.SystemdVersion()
	if err != nil {
		t.Fatal(err)
	}
	tools := buildTools(t)
	repository, err := box.Repository()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Split(*initNames, ",") {
		h := &harness{image: img, version: version}
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
	if own, err := readSpec(filepath.Join("scenarios", name)); err != nil || own.shared() {
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
	if err := root.Install(ctx, os.Stdout, "qemu-system-x86", "qemu-utils", "e2fsprogs"); err != nil {
		return err
	}
	if name := missing(); name != "" {
		return fmt.Errorf("%s is missing after apt-get installed qemu", name)
	}
	return nil
}
