package program

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/generator/gptauto"
	"github.com/muster-init/muster/pkg/generator/output"
)

// rootTypes are the partition types of root file systems by architecture (Discoverable Partitions Specification).
var rootTypes = map[string]string{
	"amd64": "4f68bce3-e8cd-4db1-96e7-fbcaf984b709", "386": "44479540-f297-41b2-9af7-d131d5f0458a", "arm64": "b921b045-1df0-41c3-af44-4c6f280d3fae",
	"arm": "69dad710-2ce4-4e3c-b16c-21a1d49abed3", "riscv64": "72ec70a6-cf74-40e6-bd49-4bda08e8f224",
}

const loaderVariable = "/sys/firmware/efi/efivars/LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"

func gptAutoTree(m *machine) *output.Tree {
	in := gptauto.Input{
		CommandLine: m.commandLine(), Initrd: m.initrd(), EFI: m.exists("/sys/firmware/efi"), LoaderUUID: strings.ToLower(efiString(m.read(loaderVariable))),
		RootType: rootTypes[runtime.GOARCH], MachineID: strings.TrimSpace(m.read("/etc/machine-id")), Container: m.container() != "",
		Cryptsetup: m.helper("systemd-cryptsetup"), Fsck: m.fsck(), Taken: m.taken, Exists: m.exists,
		HasFsck: func(fstype string) bool {
			return m.find("fsck") != "" && (fstype == "" || m.find("fsck."+fstype) != "")
		},
	}
	_, in.Fstab = m.table("SYSTEMD_FSTAB", "/etc/fstab")
	if in.Initrd || in.Container {
		return gptauto.Generate(in)
	}
	var err error
	if in.Disk, err = m.rootDisk(); err != nil {
		fmt.Fprintf(m.Stderr, "root disk: %v\n", err)
	}
	return gptauto.Generate(in)
}

// taken reports a directory that has something in it, or that something is mounted at.
func (m *machine) taken(path string) bool {
	if len(m.names(path)) > 0 {
		return true
	}
	var here, above unix.Stat_t
	return unix.Stat(m.path(path), &here) == nil && unix.Stat(m.path(filepath.Dir(path)), &above) == nil && here.Dev != above.Dev
}

// rootDisk reads the partition table of the disk with the root file system; there is none where the root isn't on one partition.
func (m *machine) rootDisk() ([]gptauto.Partition, error) {
	number, ok := m.rootDevice()
	if !ok {
		return nil, nil
	}
	sys, err := filepath.EvalSymlinks(m.path("/sys/dev/block/" + number))
	if err != nil {
		return nil, nil
	}
	// Below an encrypted root is the partition.
	for depth := 0; depth < 4; depth++ {
		slaves, err := os.ReadDir(sys + "/slaves")
		if err != nil || len(slaves) != 1 {
			break
		}
		if sys, err = filepath.EvalSymlinks(sys + "/slaves/" + slaves[0].Name()); err != nil {
			return nil, nil
		}
	}
	if _, err := os.Stat(sys + "/partition"); err != nil {
		return nil, nil
	}
	return m.partitions(filepath.Dir(sys))
}

// rootDevice is the number of the device that the root file system is on.
func (m *machine) rootDevice() (number string, ok bool) {
	if target, err := os.Readlink(m.path("/run/systemd/volatile-root")); err == nil {
		return filepath.Base(target), true
	}
	var st unix.Stat_t
	if unix.Stat(m.path("/"), &st) != nil || unix.Major(st.Dev) == 0 {
		return "", false // several disks, a network or a memory file system
	}
	return fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev)), true
}

// partitions reads the table of the disk whose directory in sysfs is given.
func (m *machine) partitions(sys string) ([]gptauto.Partition, error) {
	fd, err := unix.Open(m.path("/dev/"+filepath.Base(sys)), unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	disk := os.NewFile(uintptr(fd), filepath.Base(sys))
	defer disk.Close()
	read := func(offset uint64, n int) ([]byte, error) {
		b := make([]byte, n)
		got, err := disk.ReadAt(b, int64(offset))
		if got < n {
			return b[:got], err
		}
		return b, nil
	}
	sector, err := strconv.ParseUint(attribute(sys, "queue/logical_block_size"), 10, 32)
	if err != nil || sector < 512 {
		sector = 512
	}
	list, err := gptauto.ReadTable(read, sector)
	if err == gptauto.ErrNoTable {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	nodes := m.partitionNodes(sys)
	var out []gptauto.Partition
	for _, p := range list {
		if p.Node = nodes[p.Number]; p.Node == "" {
			continue // the kernel doesn't know it
		}
		p.FSType = gptauto.Probe(func(offset uint64, n int) ([]byte, error) {
			if offset+uint64(n) > p.End-p.Start {
				return nil, fmt.Errorf("behind the end of the partition")
			}
			return read(p.Start+offset, n)
		})
		out = append(out, p)
	}
	return out, nil
}

func attribute(sys, name string) string {
	data, _ := os.ReadFile(sys + "/" + name)
	return strings.TrimSpace(string(data))
}

// partitionNodes gives the paths of a disk's partitions by number. Where udev makes links, those by the sequence number of the disk are taken: a disk
// that takes the place of this one has another.
func (m *machine) partitionNodes(sys string) map[int]string {
	udev := false
	for _, path := range []string{"/usr/lib/systemd/systemd-udevd", "/lib/systemd/systemd-udevd", "/sbin/udevd", "/usr/lib/udev/udevd"} {
		udev = udev || m.executable(path)
	}
	sequence := attribute(sys, "diskseq")
	nodes := map[int]string{}
	entries, _ := os.ReadDir(sys)
	for _, e := range entries {
		n, err := strconv.Atoi(attribute(sys+"/"+e.Name(), "partition"))
		if err != nil {
			continue
		}
		nodes[n] = "/dev/" + e.Name()
		if udev && sequence != "" {
			nodes[n] = fmt.Sprintf("/dev/disk/by-diskseq/%s-part%d", sequence, n)
		}
	}
	return nodes
}
