package box

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// connectName is argv[0] of this program as a helper inside a box that connects
// to a unix socket and hands the connection out: a manager refuses a peer whose
// pid doesn't exist in its pid namespace.
const connectName = "muster-box-connect"

// connectFD is the helper's end of the pair to its parent.
const connectFD = 3

// DialUnix connects to a unix socket inside, as root of the box's namespaces.
func (b *Box) DialUnix(ctx context.Context, path string) (net.Conn, error) {
	conn, err := b.dialUnix(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("container: connect to %s: %w", path, err)
	}
	return conn, nil
}

func (b *Box) dialUnix(ctx context.Context, path string) (net.Conn, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "ours"), os.NewFile(uintptr(pair[1]), "theirs")
	defer theirs.Close()
	dir, err := b.execCgroup()
	if err != nil {
		ours.Close()
		return nil, err
	}
	group, err := os.Open(dir)
	if err != nil {
		ours.Close()
		return nil, err
	}
	defer group.Close()
	cmd := &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{connectName, path}, Env: insideEnv, Dir: "/", ExtraFiles: []*os.File{theirs},
		SysProcAttr: &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(group.Fd())},
	}
	if err := b.inside(allNamespaces, cmd.Start); err != nil {
		ours.Close()
		return nil, err
	}
	helper := &helperConn{ours: ours, wait: func() {
		// It ends because we closed the pair; how doesn't matter.
		_ = cmd.Wait()
		b.releaseExecCgroup(dir)
	}}
	theirs.Close()
	if helper.Conn, err = receiveConn(ctx, ours); err != nil {
		helper.end()
		return nil, err
	}
	return helper, nil
}

// helperConn keeps the helper alive as long as the connection: the manager
// looks at /proc of its peer.
type helperConn struct {
	net.Conn
	ours *os.File
	wait func()
}

// SyscallConn leads to the descriptor, for those who do without the poller of the runtime.
func (h *helperConn) SyscallConn() (syscall.RawConn, error) {
	c, ok := h.Conn.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("%T has no descriptor", h.Conn)
	}
	return c.SyscallConn()
}

func (h *helperConn) end() {
	h.ours.Close()
	h.wait()
}

func (h *helperConn) Close() error {
	err := h.Conn.Close()
	h.end()
	return err
}

func receiveConn(ctx context.Context, pair *os.File) (net.Conn, error) {
	if deadline, ok := ctx.Deadline(); ok {
		timeout := unix.NsecToTimeval(max(time.Until(deadline), time.Millisecond).Nanoseconds())
		if err := unix.SetsockoptTimeval(int(pair.Fd()), unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
			return nil, err
		}
	}
	text, control := make([]byte, 512), make([]byte, unix.CmsgSpace(4))
	n, controlN, _, _, err := unix.Recvmsg(int(pair.Fd()), text, control, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return nil, err
	}
	messages, err := unix.ParseSocketControlMessage(control[:controlN])
	if err != nil {
		return nil, err
	}
	if len(messages) == 0 {
		return nil, errors.New(string(text[:n]))
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fds[0]), "unix")
	defer file.Close()
	return net.FileConn(file)
}

// runConnect is the helper: connect, hand over or tell why not, wait for the
// other end to be closed.
func runConnect(path string) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
	}
	text, rights := "connected", []byte(nil)
	if err != nil {
		text = err.Error()
	} else {
		rights = unix.UnixRights(fd)
	}
	if err := unix.Sendmsg(connectFD, []byte(text), rights, nil, 0); err != nil {
		os.Exit(1)
	}
	// The other end holds the connection; ours would keep it open.
	unix.Close(fd)
	_, _ = io.Copy(io.Discard, os.NewFile(connectFD, "pair"))
	os.Exit(0)
}
