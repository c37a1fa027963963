package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// notifySocket opens what a flood is sent with.
func notifySocket() (int, *unix.SockaddrUnix, error) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return -1, nil, errors.New("NOTIFY_SOCKET is not set")
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	return fd, &unix.SockaddrUnix{Name: path}, err
}

// notifyFlood sends N,TEXT: the same datagram N times, waiting where the socket is full.
func notifyFlood(argument string) error {
	number, text, _ := strings.Cut(argument, ",")
	count, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	fd, addr, err := notifySocket()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	data := []byte(unescape(text))
	for range count {
		if err := unix.Sendmsg(fd, data, nil, addr, 0); err != nil {
			return err
		}
	}
	return nil
}

// notifyOdd sends one datagram that no well-behaved service would: of what KIND says.
func notifyOdd(kind string) error {
	fd, addr, err := notifySocket()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	name, argument, _ := strings.Cut(kind, ",")
	count, _ := strconv.Atoi(argument)
	switch name {
	case "empty":
		return unix.Sendmsg(fd, nil, nil, addr, 0)
	case "nul":
		return unix.Sendmsg(fd, make([]byte, max(count, 1)), nil, addr, 0)
	case "long":
		return unix.Sendmsg(fd, append([]byte("STATUS="), bytes.Repeat([]byte("x"), count)...), nil, addr, 0)
	case "newlines":
		return unix.Sendmsg(fd, bytes.Repeat([]byte("\n"), count), nil, addr, 0)
	case "fds", "fdsempty", "fdsnostore":
		var fds []int
		for range count {
			null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(null)
			fds = append(fds, null)
		}
		data := map[string]string{"fds": "FDSTORE=1\nFDNAME=many\nFDPOLL=0", "fdsnostore": "STATUS=with descriptors"}[name]
		return sendPatiently(fd, []byte(data), unix.UnixRights(fds...), addr)
	case "credentials":
		// Another uid than the own: root may claim it.
		cred := unix.UnixCredentials(&unix.Ucred{Pid: int32(os.Getpid()), Uid: 65534, Gid: 65534})
		return unix.Sendmsg(fd, []byte("STATUS=of nobody"), cred, addr, 0)
	}
	return fmt.Errorf("kind %q: unknown", kind)
}

// sendPatiently waits while too many descriptors of this uid are under way, which anybody's on this machine are counted for.
func sendPatiently(fd int, data, control []byte, addr unix.Sockaddr) error {
	for try := 0; ; try++ {
		err := unix.Sendmsg(fd, data, control, addr, 0)
		if !errors.Is(err, unix.ETOOMANYREFS) || try == 500 {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// openFiles prints how many descriptors PID 1 has open to FILE.
func openFiles(path string) error {
	entries, err := os.ReadDir("/proc/1/fd")
	if err != nil {
		return err
	}
	return logLine(path + ":" + strconv.Itoa(len(entries)))
}

// orphans leaves N processes to PID 1, each of which ends at once or a little later.
func orphans(argument string) error {
	count, err := strconv.Atoi(argument)
	if err != nil {
		return err
	}
	script := "i=0; while [ $i -lt " + strconv.Itoa(count) + " ]; do (exit $((i % 7))) & i=$((i + 1)); done; exec true"
	return exec.Command("/bin/sh", "-c", script).Run()
}
