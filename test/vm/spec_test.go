package vm

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/muster-init/muster/test/vm/machine"
)

// spec is the file `machine` of a scenario. One without it shares the machine with others, as does one that says nothing
// but which systemd or root it needs. One whose lines are only about its script and its end gets a machine of its own with the
// shared hardware, already booted; one with hardware, kernel arguments, `units` or `files` boots, with those in place. Lines, beside those of comment that begin with #:
//
//	systemd=VERSION         a systemd older than that lacks what this is about: it is not run there
//	root=NAME REASON        only this root has what this is about (another has no such kernel module, say): it is
//	                        not run on others; several lines name several
//	append=TEXT             a further kernel argument; behind -- for the init
//	disk=NAME,MB[,FS][,later]  a disk with that serial number; FS is ext4 or swap, with
//	                        NAME as label; later: not there until `host plug NAME`
//	device=TEXT             a further -device of qemu
//	smbios=TEXT             a string of SMBIOS type 11
//	fwcfg=TEXT              a -fw_cfg of qemu
//	module=NAME             a kernel module that is there before the init
//	cpus=N                  when it isn't one
//	initrd=debian           boot with the initramfs that Debian's initramfs-tools made
//	state=WORD              the system state to reach; running when not given, any: don't wait
//	boots=N                 the machine boots N times; the script runs in each, BOOT says which
//	end=TEXT                how the machine must end: powered off, rebooted, kernel panic
//	clean=yes               the root file system must then be unmounted cleanly
//	console=TEXT            the console must show this, in the order of the lines
//	timeout=SECONDS         for the whole, when it is not 600
type spec struct {
	systemd  int
	roots    []string // names; none: all
	lines    int      // without those of systemd and root
	appended []string
	disks    []machine.Disk
	devices  []string
	smbios   []string
	fwcfg    []string
	modules  []string
	debian   bool
	state    string
	boots    int
	cpus     int
	end      machine.End
	clean    bool
	console  []string
	timeout  time.Duration
}

// unfit is why the scenario is not for this root and, where systemd runs it, its version; "" when it is.
func (s *spec) unfit(init, root string, version int) string {
	if len(s.roots) != 0 && !slices.Contains(s.roots, root) {
		return fmt.Sprintf("only for %s, this is %s", strings.Join(s.roots, ", "), root)
	}
	if init == "systemd" && version < s.systemd {
		return fmt.Sprintf("needs systemd %d, this is %d", s.systemd, version)
	}
	return ""
}

// sharedSpec is the machine that scenarios without a file share.
func sharedSpec() *spec {
	return &spec{state: "running", boots: 1, timeout: 10 * time.Minute, disks: []machine.Disk{
		{Name: "blank", SizeMB: 64}, {Name: "data", SizeMB: 64, FS: "ext4"}, {Name: "swapdisk", SizeMB: 64, FS: "swap"},
		{Name: "spare", SizeMB: 64, FS: "ext4", Later: true},
	}}
}

// shared tells whether the scenario shares a machine with others.
func (s *spec) shared() bool { return s.lines == 0 }

// ordinary tells whether nothing of hardware, kernel and the state to reach is the scenario's own.
func (s *spec) ordinary() bool {
	return len(s.appended)+len(s.disks)+len(s.devices)+len(s.smbios)+len(s.fwcfg)+len(s.modules)+s.cpus == 0 && !s.debian && s.state == "running"
}

// readSpec reads the file of a scenario, if it has one.
func readSpec(dir string) (*spec, error) {
	text, err := os.ReadFile(filepath.Join(dir, "machine"))
	s := &spec{state: "running", boots: 1, timeout: 10 * time.Minute}
	if os.IsNotExist(err) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	for _, line := range strings.Split(string(text), "\n") {
		if err := s.line(line); err != nil {
			return nil, fmt.Errorf("%s/machine: %q: %w", dir, line, err)
		}
	}
	return s, nil
}

func (s *spec) line(line string) error {
	if strings.HasPrefix(line, "#") {
		return nil
	}
	key, value, _ := strings.Cut(line, "=")
	if key != "" && key != "systemd" && key != "root" {
		s.lines++
	}
	var err error
	switch key {
	case "":
	case "systemd":
		s.systemd, err = strconv.Atoi(value)
	case "root":
		name, reason, _ := strings.Cut(value, " ")
		if reason == "" {
			err = fmt.Errorf("want the name of a root and a reason")
		}
		s.roots = append(s.roots, name)
	case "append":
		s.appended = append(s.appended, value)
	case "disk":
		var disk machine.Disk
		disk, err = readDisk(value)
		s.disks = append(s.disks, disk)
	case "device":
		s.devices = append(s.devices, value)
	case "smbios":
		s.smbios = append(s.smbios, value)
	case "fwcfg":
		s.fwcfg = append(s.fwcfg, value)
	case "module":
		s.modules = append(s.modules, value)
	case "initrd":
		s.debian = value == "debian"
	case "state":
		s.state = value
	case "cpus":
		s.cpus, err = strconv.Atoi(value)
	case "boots":
		s.boots, err = strconv.Atoi(value)
	case "end":
		s.end = machine.End(value)
	case "clean":
		s.clean = value == "yes"
	case "console":
		s.console = append(s.console, value)
	case "timeout":
		var seconds int
		seconds, err = strconv.Atoi(value)
		s.timeout = time.Duration(seconds) * time.Second
	default:
		err = fmt.Errorf("unknown key")
	}
	return err
}

func readDisk(text string) (machine.Disk, error) {
	fields := strings.Split(text, ",")
	if len(fields) < 2 {
		return machine.Disk{}, fmt.Errorf("want NAME,MB")
	}
	disk := machine.Disk{Name: fields[0]}
	var err error
	disk.SizeMB, err = strconv.Atoi(fields[1])
	for _, word := range fields[2:] {
		if word == "later" {
			disk.Later = true
		} else {
			disk.FS = word
		}
	}
	return disk, err
}

// consoleMisses returns the first wanted text that isn't there in order.
func (s *spec) consoleMisses(console string) string {
	for _, want := range s.console {
		_, rest, ok := strings.Cut(console, want)
		if !ok {
			return want
		}
		console = rest
	}
	return ""
}
