package main

import (
	"fmt"
	"strconv"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// auxScope asks for a scope of the processes beside the unit this process is in, and prints the job. They are handed over as pidfds; the flags must be 0.
func auxScope(conn *dbus.Conn, name string, flags uint64, pids []string) error {
	fds := []dbus.UnixFD{}
	for _, text := range pids {
		pid, err := strconv.Atoi(text)
		if err != nil {
			return err
		}
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		fds = append(fds, dbus.UnixFD(fd))
	}
	type property struct {
		Name  string
		Value dbus.Variant
	}
	properties := []property{{"Description", dbus.MakeVariant("Beside " + name)}}
	var job dbus.ObjectPath
	err := conn.Object(service, managerPath).Call("org.freedesktop.systemd1.Manager.StartAuxiliaryScope", 0, name, fds, flags, properties).Store(&job)
	if err != nil {
		return named(err)
	}
	fmt.Println(job)
	return nil
}
