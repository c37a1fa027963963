package main

import (
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"
)

type property struct {
	Name  string
	Value dbus.Variant
}

// transient starts a service with open files beside its standard streams.
func transient(conn *dbus.Conn, unit string, args []string) error {
	end := slices.Index(args, "--")
	if end < 0 || end+1 >= len(args) {
		return errors.New("transient: no command")
	}
	type passed struct {
		FD   dbus.UnixFD
		Name string
	}
	var files []passed
	for _, arg := range args[:end] {
		name, path, _ := strings.Cut(arg, "=")
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		files = append(files, passed{dbus.UnixFD(f.Fd()), name})
	}
	type command struct {
		Path   string
		Argv   []string
		Ignore bool
	}
	argv := args[end+1:]
	properties := []property{
		{"ExtraFileDescriptors", dbus.MakeVariant(files)},
		{"ExecStart", dbus.MakeVariant([]command{{argv[0], argv, false}})},
	}
	type aux struct {
		Name       string
		Properties []property
	}
	return conn.Object(service, managerPath).Call(service+".Manager.StartTransientUnit", 0, unit, "replace", properties, []aux{}).Err
}
