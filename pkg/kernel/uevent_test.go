package kernel

import (
	"encoding/binary"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// udevMessage makes a message as udevd sends it.
func udevMessage(props string) []byte {
	b := make([]byte, udevHeaderSize)
	copy(b, udevPrefix)
	binary.BigEndian.PutUint32(b[8:], udevMagic)
	binary.NativeEndian.PutUint32(b[12:], udevHeaderSize)
	binary.NativeEndian.PutUint32(b[16:], udevHeaderSize)
	binary.NativeEndian.PutUint32(b[20:], uint32(len(props)))
	return append(b, props...)
}

func TestParseUevent(t *testing.T) {
	ev, err := ParseUevent([]byte("add@/devices/x\x00ACTION=add\x00DEVPATH=/devices/x\x00SUBSYSTEM=block\x00"))
	if err != nil || ev.FromUdev || ev.Action != "add" || ev.Devpath != "/devices/x" || ev.Get("SUBSYSTEM") != "block" {
		t.Errorf("kernel: %+v %v", ev, err)
	}
	ev, err = ParseUevent(udevMessage("ACTION=change\x00DEVPATH=/devices/y\x00TAGS=:systemd:\x00"))
	if err != nil || !ev.FromUdev || ev.Action != "change" || ev.Get("TAGS") != ":systemd:" {
		t.Errorf("udev: %+v %v", ev, err)
	}
	long := udevMessage("ACTION=add\x00DEVPATH=/x\x00")
	binary.NativeEndian.PutUint32(long[20:], 1<<31)
	off := udevMessage("ACTION=add\x00DEVPATH=/x\x00")
	binary.NativeEndian.PutUint32(off[16:], 3)
	magic := udevMessage("ACTION=add\x00DEVPATH=/x\x00")
	magic[8] = 0
	for name, b := range map[string][]byte{
		"empty": nil, "no @": []byte("add\x00ACTION=add\x00"), "no path": []byte("add@/x\x00ACTION=add\x00"), "short header": []byte(udevPrefix + "abc"),
		"length beyond the end": long, "offset inside the header": off, "magic": magic,
		"path that climbs": []byte("add@/x\x00ACTION=add\x00DEVPATH=/a/../../etc\x00"),
	} {
		if ev, err := ParseUevent(b); err == nil {
			t.Errorf("%s: accepted: %+v", name, ev)
		}
	}
}

func FuzzParseUevent(f *testing.F) {
	f.Add([]byte("add@/devices/x\x00ACTION=add\x00DEVPATH=/devices/x\x00"))
	f.Add(udevMessage("ACTION=change\x00DEVPATH=/devices/y\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if ev, err := ParseUevent(b); err == nil && (ev.Action == "" || ev.Devpath == "") {
			t.Errorf("%q: %+v", b, ev)
		}
	})
}

// TestUeventSocket sends a message to the group of udev, as udevd does, and one straight to the socket, as a forger would.
func TestUeventSocket(t *testing.T) {
	if os.Getuid() != 0 {
		t.Log("needs root to send to the group")
		return
	}
	s, err := OpenUevents(UeventUdev, 1<<16)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(out)
	own, err := unix.Getsockname(s.FD())
	if err != nil {
		t.Fatal(err)
	}
	forged := udevMessage("ACTION=add\x00DEVPATH=/forged\x00")
	_ = unix.Sendto(out, forged, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Pid: own.(*unix.SockaddrNetlink).Pid})
	real := udevMessage("ACTION=add\x00DEVPATH=/muster-test\x00TAGS=:systemd:\x00")
	if err := unix.Sendto(out, real, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: UeventUdev}); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); time.Since(began) < time.Minute; {
		ev, ok, err := s.Read()
		if err != nil {
			t.Fatal(err)
		}
		if ok && ev.Devpath == "/forged" {
			t.Fatal("a message that was not sent to the group was taken")
		}
		if ok && ev.Devpath == "/muster-test" {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Error("the message did not arrive")
}
