// Package machine runs one virtual machine under qemu-system-x86_64(1): boots
// it, runs programs in it through the agent of test/vm/agent, drives the
// hardware through the monitor, and tells how it ended.
//
// Invariants:
//  1. The given disk is never written to; what the guest writes is in a layer
//     that goes with the machine.
//  2. Whatever the guest does, qemu is ended by Stop, and every wait is bounded by
//     a context.
//  3. A machine may be kept as a Snapshot and any number started from it, one after the other or at once.
//  4. qemu emulates in software unless told otherwise: it is slow and the same
//     everywhere. $MUSTER_VM_ACCEL names another accelerator.
package machine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/test/vm/image"
	"github.com/muster-init/muster/test/vm/wire"
)

// Program is the emulator.
const Program = "qemu-system-x86_64"

// Disk is a further disk of the machine, virtio-blk with Name as its serial number.
type Disk struct {
	Name   string
	SizeMB int
	FS     string // ext4 or swap: made on it, with Name as the label; empty: blank
	Later  bool   // not there until it is plugged
}

// Options say what to boot. Kernel, Initrd and Root are required.
type Options struct {
	Kernel  string
	Initrd  []byte
	Root    string   // raw ext4 image of the root file system
	Append  []string // kernel arguments
	Disks   []Disk
	Devices []string // -device arguments
	SMBIOS  []string // strings of type 11 (OEM Strings)
	FWCfg   []string // -fw_cfg arguments
	CPUs    int      // 1 when not given: under emulation on a busy machine processors mostly wait for each other
	Boots   int      // resets the machine may do and boot again; the next one ends it

	from *Snapshot
}

// End is how a machine ended.
type End string

// The ends a guest can bring about.
const (
	PoweredOff End = "powered off"
	Rebooted   End = "rebooted"
	Panicked   End = "kernel panic"
	Gone       End = "qemu ended"
)

// Machine is one that runs, or ran.
type Machine struct {
	options Options
	dir     string
	cmd     *exec.Cmd
	console *console
	qmp     *qmp
	port    *wire.Port
	files   []net.Conn
	done    chan struct{} // closed when qemu has ended

	mu      sync.Mutex
	boots   int // hellos of the agent so far
	hello   chan struct{}
	next    int
	running map[int]*call
	disks   map[string]Disk
}

// cpu is what the guest sees: no cmpxchg16b, whose emulation in qemu 7.2 clobbers the flags now and then and so
// brings kernels down, no five levels of pages, no wide registers to save (nor what builds on them: Linux 6.1 believes in avx2 without avx).
var cpu = cmp.Or(os.Getenv("MUSTER_VM_CPU"), "max,cx16=off,la57=off,pku=off,avx=off,avx2=off,vaes=off,smap=off,smep=off")

// runArgs are the arguments of every machine. The i440FX has PCI slots that a
// guest sees plugged and unplugged.
var runArgs = []string{"-nodefaults", "-no-user-config", "-display", "none", "-machine", "pc", "-m", "1024", "-boot", "strict=on"}

// kernelArgs make a boot under emulation short: no mitigations, no delays, and
// only messages that matter on the slow console.
var kernelArgs = []string{"console=ttyS0", "root=LABEL=" + image.RootLabel, "ro", "quiet", "panic=-1", "mitigations=off", "nokaslr", "no_timer_check",
	"tsc=reliable", "random.trust_cpu=on", "systemd.show_status=true", "i8042.noaux", "apparmor=0", "audit=0",
	// Grace periods are waited for at each mount and each control group; nothing here is disturbed when they are short.
	"rcupdate.rcu_expedited=1", "8250.nr_uarts=2"}

// Start starts the machine; it doesn't wait for anything.
func Start(options Options) (*Machine, error) {
	dir, err := os.MkdirTemp("", "muster-vm-")
	if err != nil {
		return nil, err
	}
	m := &Machine{options: options, dir: dir, done: make(chan struct{}), hello: make(chan struct{}), running: map[int]*call{}, disks: map[string]Disk{}}
	if err := m.launch(options); err != nil {
		return nil, errors.Join(err, m.Stop())
	}
	return m, nil
}

func (m *Machine) launch(options Options) error {
	args, err := m.arguments(options)
	if err != nil {
		return err
	}
	m.cmd = exec.Command(Program, args...)
	// qemu must not outlive the test, however that ends.
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setsid: true}
	var conns []net.Conn
	for range 3 {
		ours, theirs, err := pair()
		if err != nil {
			return err
		}
		defer theirs.Close()
		conns = append(conns, ours)
		m.cmd.ExtraFiles = append(m.cmd.ExtraFiles, theirs)
	}
	m.files = conns
	m.console = newConsole(conns[0])
	m.cmd.Stderr = m.console.errors()
	m.port = wire.NewPort(conns[1])
	if err := m.cmd.Start(); err != nil {
		return err
	}
	go func() {
		_ = m.cmd.Wait() // how the guest ended is told by the monitor
		close(m.done)
	}()
	if m.qmp, err = newQMP(conns[2], m.done); err != nil {
		return fmt.Errorf("qemu: %w: %s", err, m.console.text())
	}
	go m.receive()
	return nil
}

// arguments are those of qemu; the files it uses are made on the way.
func (m *Machine) arguments(options Options) ([]string, error) {
	initrd := filepath.Join(m.dir, "initrd")
	if err := os.WriteFile(initrd, options.Initrd, 0o600); err != nil {
		return nil, err
	}
	accel := os.Getenv("MUSTER_VM_ACCEL")
	if accel == "" {
		accel = "tcg,thread=multi"
	}
	kernel := append([]string{}, kernelArgs...)
	if khz := tscKHz(); khz != 0 && strings.HasPrefix(accel, "tcg") {
		kernel = append(kernel, "tsc_early_khz="+strconv.FormatUint(khz, 10))
	}
	args := append([]string{}, runArgs...)
	args = append(args, "-accel", accel, "-cpu", cpu, "-kernel", options.Kernel, "-initrd", initrd,
		"-append", strings.Join(append(kernel, options.Append...), " "),
		"-chardev", "socket,id=console,fd=3", "-serial", "chardev:console",
		"-chardev", "socket,id=agent,fd=4", "-serial", "chardev:agent",
		"-chardev", "socket,id=monitor,fd=5", "-mon", "chardev=monitor,mode=control")
	args = append(args, "-smp", strconv.Itoa(max(1, options.CPUs)))
	if options.Boots <= 1 {
		args = append(args, "-no-reboot")
	}
	base, format := options.Root, "raw"
	if options.from != nil {
		base, format = filepath.Join(options.from.dir, rootLayer), "qcow2"
		args = append(args, "-incoming", "exec:cat "+filepath.Join(options.from.dir, stateFile))
	}
	if err := layer(m.RootDisk(), base, format); err != nil {
		return nil, err
	}
	args = append(args, "-drive", "if=none,id=root,cache=unsafe,format=qcow2,file="+m.RootDisk(), "-device", "virtio-blk-pci,drive=root,serial=root")
	disks, err := m.diskArguments(options)
	if err != nil {
		return nil, err
	}
	args = append(args, disks...)
	for _, device := range options.Devices {
		args = append(args, "-device", device)
	}
	for _, text := range options.SMBIOS {
		args = append(args, "-smbios", "type=11,value="+strings.ReplaceAll(text, ",", ",,"))
	}
	for _, text := range options.FWCfg {
		args = append(args, "-fw_cfg", text)
	}
	return args, nil
}

func makeDisk(path string, disk Disk) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := errors.Join(file.Truncate(int64(disk.SizeMB)<<20), file.Close()); err != nil {
		return err
	}
	var cmd *exec.Cmd
	switch disk.FS {
	case "":
		return nil
	case "ext4":
		cmd = exec.Command("mke2fs", "-q", "-F", "-t", "ext4", "-L", disk.Name, path)
	case "swap":
		cmd = exec.Command("mkswap", "-q", "-L", disk.Name, path)
	default:
		return fmt.Errorf("disk %s: unknown file system %q", disk.Name, disk.FS)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("disk %s: %w: %s", disk.Name, err, out)
	}
	return nil
}

// pair is a connected pair of sockets: ours and the one for qemu.
func pair() (net.Conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	file := os.NewFile(uintptr(fds[0]), "qemu")
	defer file.Close()
	conn, err := net.FileConn(file)
	return conn, os.NewFile(uintptr(fds[1]), "qemu"), err
}

// RootDisk is the layer with what the guest wrote to its root, in qcow2.
func (m *Machine) RootDisk() string { return filepath.Join(m.dir, rootLayer) }

const rootLayer = "root.qcow2"

// Console is what the first serial port showed so far, the kernel's messages included.
func (m *Machine) Console() string { return m.console.text() }

// Type types text at the console.
func (m *Machine) Type(text string) error {
	_, err := m.files[0].Write([]byte(text))
	return err
}

// Done is closed when the machine has ended.
func (m *Machine) Done() <-chan struct{} { return m.done }

// Wait waits for the end and tells how it came.
func (m *Machine) Wait(ctx context.Context) (End, error) {
	select {
	case <-m.done:
	case <-ctx.Done():
		return "", fmt.Errorf("machine: waiting for its end: %w", ctx.Err())
	}
	return m.ending(), nil
}

func (m *Machine) ending() End {
	if m.Panicked() {
		return Panicked
	}
	for _, event := range m.qmp.Events() {
		if event.Name == "SHUTDOWN" {
			switch event.Reason {
			case "guest-shutdown":
				return PoweredOff
			case "guest-reset":
				return Rebooted
			case "guest-panic":
				return Panicked
			}
		}
	}
	return Gone
}

// Panicked tells whether the kernel said so on the console.
func (m *Machine) Panicked() bool {
	return strings.Contains(m.console.text(), "Kernel panic - not syncing")
}

// Stop ends the machine, if it runs, and removes its files.
func (m *Machine) Stop() error {
	var err error
	if m.cmd != nil && m.cmd.Process != nil {
		_ = m.cmd.Process.Kill() // it may have ended
		select {
		case <-m.done:
		case <-time.After(10 * time.Second):
			err = fmt.Errorf("machine: qemu (pid %d) doesn't end", m.cmd.Process.Pid)
		}
	}
	for _, conn := range m.files {
		conn.Close()
	}
	return errors.Join(err, os.RemoveAll(m.dir))
}
