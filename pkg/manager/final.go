package manager

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/kernel"
)

// What is left when no unit and no process holds anything any more: swap, mounts and loop devices that nobody stopped, or that were started behind
// the manager's back. Each may stand on another (a file system in a file of a file system), so passes go on as long as something comes off.

// finalPasses bounds the passes: stacks of mounts are not that deep.
const finalPasses = 32

// releaseDisks takes off what can be taken off and leaves the rest, the root among it, read-only, so that file systems are clean afterwards.
func (m *Manager) releaseDisks() {
	for range finalPasses {
		progress := swapOff()
		progress = unmountOthers() || progress
		progress = detachLoops() || progress
		if !progress {
			break
		}
	}
	for _, e := range otherMounts() {
		if err := readOnly(e); err != nil {
			m.log.warning("", "%s (%s) stays mounted and writable: %v", e.Point, e.Type, err)
		}
	}
	if err := unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		m.log.warning("", "The root file system stays writable: %v", err)
	}
	unix.Sync()
}

// swapOff switches swap off: a file with swap in it keeps its file system from being unmounted.
func swapOff() bool {
	table, err := kernel.OpenSwapTable()
	if err != nil {
		return false
	}
	defer table.Close()
	swaps, err := table.Read()
	if err != nil {
		return false
	}
	progress := false
	for _, s := range swaps {
		progress = kernel.Swapoff(s.File) == nil || progress
	}
	return progress
}

// lasting are the mounts that stay: the kernel's own file systems, which hold no disk, and the root.
var lasting = []string{"/proc", "/sys", "/dev", "/run"}

// otherMounts are the mounts on disks, of the network and of users, the latest first: what was mounted last is above what was there before.
func otherMounts() []kernel.Mount {
	table, err := kernel.OpenMountTable()
	if err != nil {
		return nil
	}
	defer table.Close()
	mounts, err := table.Read()
	if err != nil {
		return nil
	}
	var list []kernel.Mount
	for i := len(mounts) - 1; i >= 0; i-- {
		if e := mounts[i]; e.Point != "/" && !isLasting(e.Point) {
			list = append(list, e)
		}
	}
	return list
}

// isLasting: what is mounted below /run may be a disk.
func isLasting(point string) bool {
	for _, top := range lasting {
		if point == top || top != "/run" && strings.HasPrefix(point, top+"/") {
			return true
		}
	}
	return false
}

// mayHang are file systems whose server may be gone: nobody waits for them.
func mayHang(fstype string) bool {
	switch fstype {
	case "nfs", "nfs4", "cifs", "smb3", "ceph", "afs", "9p", "virtiofs", "glusterfs", "autofs", "ncpfs", "gfs", "gfs2", "ocfs2":
		return true
	}
	return fstype == "fuse" || strings.HasPrefix(fstype, "fuse.")
}

func unmountOthers() bool {
	progress := false
	for _, e := range otherMounts() {
		flags := unix.UMOUNT_NOFOLLOW
		if mayHang(e.Type) {
			flags |= unix.MNT_FORCE | unix.MNT_DETACH
		}
		progress = unix.Unmount(e.Point, flags) == nil || progress
	}
	return progress
}

// readOnly makes a mount that can't be taken off read-only, unless it is so already or that could hang.
func readOnly(e kernel.Mount) error {
	if mayHang(e.Type) || e.SuperOptions == "ro" || strings.HasPrefix(e.SuperOptions, "ro,") {
		return nil
	}
	return unix.Mount("", e.Point, "", unix.MS_REMOUNT|unix.MS_RDONLY, "")
}

// detachLoops frees the files behind loop devices that nobody uses.
func detachLoops() bool {
	entries, err := os.ReadDir("/sys/block")
	if err != nil {
		return false
	}
	progress := false
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasPrefix(name, "loop") {
			continue
		}
		if _, err := os.Stat("/sys/block/" + name + "/loop/backing_file"); err != nil {
			continue
		}
		progress = detachLoop("/dev/"+name) || progress
	}
	return progress
}

// detachLoop counts only what is free afterwards: a device in use is freed by the kernel later, with its last user.
func detachLoop(path string) bool {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	if unix.IoctlSetInt(fd, unix.LOOP_CLR_FD, 0) != nil {
		return false
	}
	_, err = os.Stat("/sys/block/" + strings.TrimPrefix(path, "/dev/") + "/loop/backing_file")
	return err != nil
}

// storageDaemons are processes of root from the initramfs whose argv[0] begins with '@': they serve the root file system and are spared to the end
// (systemd.io/ROOT_STORAGE_DAEMONS).
func storageDaemons() map[int32]bool {
	var pids map[int32]bool
	for _, name := range processNames() {
		pid, ok := pidOf(name)
		if !ok || pid <= 1 {
			continue
		}
		var st unix.Stat_t
		if unix.Stat("/proc/"+name, &st) != nil || st.Uid != 0 {
			continue
		}
		file, err := os.Open("/proc/" + name + "/cmdline")
		if err != nil {
			continue
		}
		var first [1]byte
		n, _ := file.Read(first[:])
		file.Close()
		if n == 1 && first[0] == '@' {
			if pids == nil {
				pids = map[int32]bool{}
			}
			pids[int32(pid)] = true
		}
	}
	return pids
}
