package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Opcodes of the protocol, linux/fuse.h.
const (
	fuseLookup, fuseGetattr, fuseGetxattr, fuseListxattr = 1, 3, 22, 23
	fuseInit, fuseOpendir, fuseReaddir, fuseReleasedir   = 26, 27, 28, 29
	fuseAccess                                           = 34
)

// hangFS mounts a FUSE file system that hangs: KIND,DIR[,NAME…]. With "deaf" nobody reads the requests: who waits for an answer can be killed.
// With "mute" they are read and never answered: who waits can't even be killed. With "files" the directory and what NAME says is there can be
// listed and looked up (a name that ends in / is a directory), but opening a file never ends. It ends with this process.
func hangFS(argument string) error {
	parts := strings.Split(argument, ",")
	if len(parts) < 2 {
		return fmt.Errorf("want KIND,DIR, got %q", argument)
	}
	const device = "/dev/fuse"
	if err := unix.Mknod(device, unix.S_IFCHR|0o666, int(unix.Mkdev(10, 229))); err != nil && err != unix.EEXIST {
		return fmt.Errorf("%s: %w", device, err)
	}
	fd, err := unix.Open(device, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", device, err)
	}
	if err := os.MkdirAll(parts[1], 0o755); err != nil {
		return err
	}
	options := "fd=" + strconv.Itoa(fd) + ",rootmode=40000,user_id=0,group_id=0,allow_other"
	if err := unix.Mount("hang", parts[1], "fuse.hang", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return fmt.Errorf("mount %s: %w", parts[1], err)
	}
	if parts[0] != "deaf" {
		fs := &hanging{fd: fd, names: parts[2:], lists: parts[0] == "files"}
		go fs.serve()
	}
	return nil
}

// hanging answers some requests. Node 1 is the root, node n+2 the name with index n.
type hanging struct {
	fd    int
	names []string
	lists bool
}

func (h *hanging) serve() {
	buf := make([]byte, 1<<17)
	for {
		n, err := unix.Read(h.fd, buf)
		if err == unix.EINTR || err == unix.ENOENT {
			continue
		}
		if err != nil || n < 40 {
			return
		}
		out, status, answers := h.answer(binary.NativeEndian.Uint32(buf[4:]), binary.NativeEndian.Uint64(buf[16:]), buf[40:n])
		if !answers {
			continue
		}
		head := binary.NativeEndian.AppendUint32(nil, uint32(16+len(out)))
		head = binary.NativeEndian.AppendUint32(head, uint32(-int32(status)))
		head = append(head, buf[8:16]...)
		_, _ = unix.Write(h.fd, append(head, out...))
	}
}

func (h *hanging) answer(opcode uint32, node uint64, body []byte) (out []byte, status unix.Errno, answers bool) {
	if opcode == fuseInit {
		out = make([]byte, 64)
		binary.NativeEndian.PutUint32(out, 7)
		binary.NativeEndian.PutUint32(out[4:], 31)
		binary.NativeEndian.PutUint32(out[20:], 4096)
		return out, 0, true
	}
	if !h.lists {
		return nil, 0, false
	}
	switch opcode {
	case fuseLookup:
		name := strings.TrimRight(string(body), "\x00")
		for i, have := range h.names {
			if strings.TrimSuffix(have, "/") == name && node == 1 {
				id := uint64(i + 2)
				out = binary.NativeEndian.AppendUint64(nil, id)
				out = append(out, make([]byte, 32)...)
				return append(out, h.attributes(id)...), 0, true
			}
		}
		return nil, unix.ENOENT, true
	case fuseGetattr:
		return append(make([]byte, 16), h.attributes(node)...), 0, true
	case fuseOpendir:
		return make([]byte, 16), 0, true
	case fuseReaddir:
		if node != 1 || binary.NativeEndian.Uint64(body[8:]) != 0 {
			return nil, 0, true
		}
		for i, name := range h.names {
			name = strings.TrimSuffix(name, "/")
			out = binary.NativeEndian.AppendUint64(out, uint64(i+2))
			out = binary.NativeEndian.AppendUint64(out, uint64(i+1))
			out = binary.NativeEndian.AppendUint32(out, uint32(len(name)))
			out = binary.NativeEndian.AppendUint32(out, h.mode(uint64(i+2))>>12)
			out = append(out, name...)
			out = append(out, make([]byte, (8-len(name)%8)%8)...)
		}
		return out, 0, true
	case fuseReleasedir, fuseAccess:
		return nil, 0, true
	case fuseGetxattr, fuseListxattr:
		return nil, unix.ENODATA, true
	}
	return nil, 0, false // also those that have no answer: forget, interrupt
}

func (h *hanging) mode(node uint64) uint32 {
	if node == 1 || strings.HasSuffix(h.names[node-2], "/") {
		return unix.S_IFDIR | 0o755
	}
	return unix.S_IFREG | 0o644
}

// attributes are a struct fuse_attr.
func (h *hanging) attributes(node uint64) []byte {
	out := make([]byte, 88)
	binary.NativeEndian.PutUint64(out, node)
	binary.NativeEndian.PutUint64(out[8:], 100)
	binary.NativeEndian.PutUint64(out[24:], 1_700_000_000)
	binary.NativeEndian.PutUint64(out[32:], 1_700_000_000)
	binary.NativeEndian.PutUint64(out[40:], 1_700_000_000)
	binary.NativeEndian.PutUint32(out[60:], h.mode(node))
	binary.NativeEndian.PutUint32(out[64:], 1)
	binary.NativeEndian.PutUint32(out[80:], 4096)
	return out
}
