package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/test/container/box"
)

// devicePrepare makes a box that can have device units: both inits leave them alone where /sys is read-only, because those devices are the host's, and
// where no udevd is to be seen. So /sys is an empty file system with the cgroups in it, and the messages that udevd would send come from here.
const devicePrepare = `set -e
mount -t tmpfs none /mnt
mkdir -p /mnt/fs/cgroup
mount --rbind /sys/fs/cgroup /mnt/fs/cgroup
mount --rbind /mnt /sys
umount -l /mnt
mkdir -p /run/udev/tags /run/udev/data
touch /run/udev/control
exec "$@"`

// deviceBurst is how many messages are sent between two looks whether the manager keeps up.
const deviceBurst = 50

// measureDevices has udevd announce N devices that are to have units, and take them away again.
func measureDevices(ctx context.Context, b *bench, program box.Program, n int) error {
	wrapped := program
	wrapped.Path = "/bin/sh"
	wrapped.Args = append([]string{"-c", devicePrepare, "sh", program.Path}, program.Args...)
	inside, c, err := b.bootEmpty(ctx, wrapped, nil)
	if err != nil {
		return err
	}
	defer stopBox(inside, c)
	udev, err := dialUdev(inside.PID())
	if err != nil {
		return err
	}
	defer unix.Close(udev.fd)
	time.Sleep(time.Second) // until it has listed what is there
	last := fmt.Sprintf("dev-bench%d.device", n-1)
	before, began := cpuTime(inside.PID()), time.Now()
	if err := udev.announce("add", n); err != nil {
		return err
	}
	if _, err := c.pollState(ctx, last, "active", began); err != nil {
		return err
	}
	b.results.add("N devices appear", n, program.Name, milliseconds, ms(time.Since(began)))
	b.results.add("N devices appear, CPU of PID 1", n, program.Name, milliseconds, ms(cpuTime(inside.PID())-before))
	time.Sleep(idleTime)
	b.results.add("RSS of PID 1, N devices", n, program.Name, mebibytes, float64(box.RSS(inside.PID()))/(1<<20))
	raw, err := dialRaw(ctx, inside)
	if err != nil {
		return err
	}
	defer raw.conn.Close()
	message, err := rawCall(managerPath, manager, "ListUnits")
	if err != nil {
		return err
	}
	perSec, err := rate(ctx, func() error { return raw.call(message) })
	if err != nil {
		return err
	}
	b.results.add("ListUnits, N devices", n, program.Name, perSecond, perSec)
	before, began = cpuTime(inside.PID()), time.Now()
	if err := udev.announce("remove", n); err != nil {
		return err
	}
	if _, err := c.pollState(ctx, last, "inactive", began); err != nil {
		return err
	}
	b.results.add("N devices vanish, CPU of PID 1", n, program.Name, milliseconds, ms(cpuTime(inside.PID())-before))
	return nil
}

// udevSender sends what udevd sends when it has handled a device.
type udevSender struct {
	fd     int
	serial int
}

// dialUdev makes a socket in the network namespace of a process.
func dialUdev(pid int) (*udevSender, error) {
	target, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return nil, err
	}
	defer target.Close()
	type result struct {
		fd  int
		err error
	}
	made := make(chan result)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its namespace
		if err := unix.Setns(int(target.Fd()), unix.CLONE_NEWNET); err != nil {
			made <- result{-1, err}
			return
		}
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_KOBJECT_UEVENT)
		made <- result{fd, err}
	}()
	r := <-made
	if r.err != nil {
		return nil, fmt.Errorf("socket for uevents: %w", r.err)
	}
	return &udevSender{fd: r.fd}, nil
}

// announce sends a message for each of n devices, at the pace at which a busy udevd would.
func (u *udevSender) announce(action string, n int) error {
	for i := range n {
		u.serial++
		message := udevMessage(action, i, u.serial)
		if err := unix.Sendto(u.fd, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 2}); err != nil {
			return fmt.Errorf("uevent %d: %w", i, err)
		}
		if i%deviceBurst == deviceBurst-1 {
			time.Sleep(5 * time.Millisecond)
		}
	}
	return nil
}

// udevMessage has the header of libudev's monitor (a magic number, where the properties are, hashes for socket filters) and then the properties. All bits
// of the filter for tags are set, so that nobody's filter holds it back.
func udevMessage(action string, i, serial int) []byte {
	properties := strings.Join([]string{
		"ACTION=" + action, fmt.Sprintf("DEVPATH=/devices/virtual/bench/bench%d", i), "SUBSYSTEM=bench",
		fmt.Sprintf("DEVNAME=/dev/bench%d", i), fmt.Sprintf("SEQNUM=%d", serial), "USEC_INITIALIZED=1000000",
		"TAGS=:systemd:", "CURRENT_TAGS=:systemd:",
	}, "\x00") + "\x00"
	const head = 40
	message := make([]byte, head, head+len(properties))
	copy(message, "libudev\x00")
	binary.BigEndian.PutUint32(message[8:], 0xfeedcafe)
	for at, value := range map[int]uint32{12: head, 16: head, 20: uint32(len(properties)), 32: ^uint32(0), 36: ^uint32(0)} {
		binary.NativeEndian.PutUint32(message[at:], value)
	}
	return append(message, properties...)
}
