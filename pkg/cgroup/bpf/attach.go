package bpf

import (
	"errors"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// AttachType is where in the kernel a program of a group runs (enum bpf_attach_type).
type AttachType uint32

// attachTypes are the names that BPFProgram= has for them.
var attachTypes = map[string]AttachType{
	"ingress": unix.BPF_CGROUP_INET_INGRESS, "egress": unix.BPF_CGROUP_INET_EGRESS, "sock_create": unix.BPF_CGROUP_INET_SOCK_CREATE,
	"sock_ops": unix.BPF_CGROUP_SOCK_OPS, "device": unix.BPF_CGROUP_DEVICE, "bind4": unix.BPF_CGROUP_INET4_BIND, "bind6": unix.BPF_CGROUP_INET6_BIND,
	"connect4": unix.BPF_CGROUP_INET4_CONNECT, "connect6": unix.BPF_CGROUP_INET6_CONNECT, "post_bind4": unix.BPF_CGROUP_INET4_POST_BIND,
	"post_bind6": unix.BPF_CGROUP_INET6_POST_BIND, "sendmsg4": unix.BPF_CGROUP_UDP4_SENDMSG, "sendmsg6": unix.BPF_CGROUP_UDP6_SENDMSG,
	"sysctl": unix.BPF_CGROUP_SYSCTL, "recvmsg4": unix.BPF_CGROUP_UDP4_RECVMSG, "recvmsg6": unix.BPF_CGROUP_UDP6_RECVMSG,
	"getsockopt": unix.BPF_CGROUP_GETSOCKOPT, "setsockopt": unix.BPF_CGROUP_SETSOCKOPT,
}

// namePrefix begins the names of our own programs.
const namePrefix = "mu_"

// attachedMax bounds the programs looked at in one group; the kernel allows 64.
const attachedMax = 64

type attachAttr struct{ target, program, attachType, flags, replace uint32 }

// attach adds a program, or puts it in the place of an attached one (replace >= 0).
func attach(dir int, at AttachType, program, replace int) error {
	attr := attachAttr{target: uint32(dir), program: uint32(program), attachType: uint32(at), flags: unix.BPF_F_ALLOW_MULTI}
	if replace >= 0 {
		attr.flags |= unix.BPF_F_REPLACE
		attr.replace = uint32(replace)
	}
	_, err := call(unix.BPF_PROG_ATTACH, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	return err
}

func detach(dir int, at AttachType, program int) error {
	attr := attachAttr{target: uint32(dir), program: uint32(program), attachType: uint32(at)}
	_, err := call(unix.BPF_PROG_DETACH, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	return err
}

type queryAttr struct {
	target, attachType, queryFlags, attachFlags uint32
	ids                                         unsafe.Pointer
	count, _                                    uint32
	programFlags                                unsafe.Pointer
}

// programInfo is the head of struct bpf_prog_info.
type programInfo struct {
	progType, id         uint32
	tag                  [8]byte
	jitedLen, xlatedLen  uint32
	jited, xlated        uint64
	loadTime             uint64
	createdBy, mapsCount uint32
	maps                 unsafe.Pointer
	name                 [16]byte
}

// attached is one of our programs that a group has; its descriptor is open.
type attached struct {
	fd   int
	maps []uint32
}

const mapsMax = 8

// find looks for our program of a name in one group; fd is -1 if there is none.
func find(dir int, at AttachType, name string) (attached, error) {
	var ids [attachedMax]uint32
	attr := queryAttr{target: uint32(dir), attachType: uint32(at), ids: unsafe.Pointer(&ids[0]), count: attachedMax}
	none := attached{fd: -1}
	var flags [attachedMax]uint32
	if at == attachLSMCgroup {
		attr.programFlags = unsafe.Pointer(&flags[0]) // for hooks the kernel insists on telling them
	}
	if _, err := call(unix.BPF_PROG_QUERY, unsafe.Pointer(&attr), unsafe.Sizeof(attr)); err != nil {
		return none, err
	}
	for _, id := range ids[:min(attr.count, attachedMax)] {
		fd, err := byID(unix.BPF_PROG_GET_FD_BY_ID, id)
		if err != nil {
			if errors.Is(err, unix.ENOENT) {
				continue
			}
			return none, err
		}
		var maps [mapsMax]uint32
		info := programInfo{maps: unsafe.Pointer(&maps[0]), mapsCount: mapsMax}
		if err := objectInfo(fd, unsafe.Pointer(&info), unsafe.Sizeof(info)); err == nil && unix.ByteSliceToString(info.name[:]) == name {
			return attached{fd, maps[:min(info.mapsCount, mapsMax)]}, nil
		}
		_ = unix.Close(fd)
	}
	return none, nil
}

// install attaches a program in the place of the one with its name, or beside those of others.
func install(dir int, at AttachType, p Program) error {
	old, err := find(dir, at, p.name)
	if err != nil {
		return err
	}
	err = attach(dir, at, p.fd, old.fd)
	if old.fd >= 0 {
		_ = unix.Close(old.fd)
	}
	return err
}

// remove detaches our program of a name.
func remove(dir int, at AttachType, name string) error {
	old, err := find(dir, at, name)
	if err != nil || old.fd < 0 {
		return err
	}
	defer unix.Close(old.fd)
	return detach(dir, at, old.fd)
}

// PinnedDir is where pinned programs have to lie. The kernel serves it from memory, so opening something in it can't hang; any other path might
// lead through a file system that does.
const PinnedDir = "/sys/fs/bpf/"

// Foreign is a pinned program that somebody else has loaded.
type Foreign struct{ Attach, Path string }

// ErrPinnedPath is about programs outside of [PinnedDir].
var ErrPinnedPath = errors.New("pinned programs must be below " + PinnedDir)

// attachForeign attaches a pinned program; one that is attached already is fine.
func attachForeign(dir int, f Foreign) error { return foreign(dir, f, false) }

func detachForeign(dir int, f Foreign) error { return foreign(dir, f, true) }

func foreign(dir int, f Foreign, off bool) error {
	at, ok := attachTypes[f.Attach]
	if !ok {
		return unix.EINVAL
	}
	if !strings.HasPrefix(f.Path, PinnedDir) || strings.Contains(f.Path, "/../") {
		return ErrPinnedPath
	}
	fd, err := openPinned(f.Path)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if off {
		if err := detach(dir, at, fd); !errors.Is(err, unix.ENOENT) {
			return err
		}
		return nil
	}
	var info programInfo
	if err := objectInfo(fd, unsafe.Pointer(&info), unsafe.Sizeof(info)); err != nil {
		return err
	}
	have, err := hasID(dir, at, info.id)
	if err != nil || have {
		return err
	}
	return attach(dir, at, fd, -1)
}

func hasID(dir int, at AttachType, id uint32) (bool, error) {
	var ids [attachedMax]uint32
	attr := queryAttr{target: uint32(dir), attachType: uint32(at), ids: unsafe.Pointer(&ids[0]), count: attachedMax}
	if _, err := call(unix.BPF_PROG_QUERY, unsafe.Pointer(&attr), unsafe.Sizeof(attr)); err != nil {
		return false, err
	}
	for _, have := range ids[:min(attr.count, attachedMax)] {
		if have == id {
			return true, nil
		}
	}
	return false, nil
}
