package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// send writes one datagram of sd_notify(3), with descriptors where given.
func send(text string, fds ...int) error {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return errors.New("NOTIFY_SOCKET is not set")
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	return sendPatiently(fd, []byte(text), rights, &unix.SockaddrUnix{Name: path})
}

func unescape(text string) string { return strings.ReplaceAll(text, `\n`, "\n") }

func notify(text string) error {
	text = strings.ReplaceAll(unescape(text), "@MONOTONIC@", strconv.FormatInt(monotonicUSec(), 10))
	return send(text)
}

func monotonicUSec() int64 {
	var now unix.Timespec
	// Reading the monotonic clock can't fail.
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	return now.Nano() / 1000
}

// childNotify sends from a child, which waits until the message was read: the
// manager looks the sender up by its pid.
func childNotify(text string) error {
	return exec.Command("/proc/self/exe", "notify:"+text, "barrier").Run()
}

// barrier hands over a pipe end and waits until the manager closes it, so all
// that was sent before has been handled.
func barrier(string) error {
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer read.Close()
	err = send("BARRIER=1", int(write.Fd()))
	write.Close()
	if err != nil {
		return err
	}
	if err := read.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	if _, err := read.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("the manager doesn't close it: %w", err)
	}
	return nil
}

func fdStore(name string) error {
	fd, err := unix.MemfdCreate(name, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, []byte(name)); err != nil {
		return err
	}
	return send("FDSTORE=1\nFDNAME="+name, fd)
}

func fdRemove(name string) error { return send("FDSTOREREMOVE=1\nFDNAME=" + name) }

func watchdog(argument string) error {
	period, count, _ := strings.Cut(argument, ":")
	duration, err := time.ParseDuration(period)
	if err != nil {
		return err
	}
	number, err := strconv.Atoi(count)
	for i := 0; err == nil && i < number; i++ {
		time.Sleep(duration)
		err = send("WATCHDOG=1")
	}
	return err
}

// onReload follows Type=notify-reload: RELOADING=1 with the time, a line in
// the file, READY=1.
func onReload(path string) error {
	caught := make(chan os.Signal, 8)
	signal.Notify(caught, unix.SIGHUP)
	go func() {
		for range caught {
			err := errors.Join(notify(`RELOADING=1\nMONOTONIC_USEC=@MONOTONIC@`), sleep("50ms"), logLine(path+":reloaded"), notify("READY=1"))
			if err != nil {
				fmt.Fprintf(os.Stderr, "payload: %v\n", err)
			}
		}
	}()
	return nil
}

func listen(path string) error {
	listener, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		fmt.Fprintln(conn, os.Getpid())
		conn.Close()
	}
}
