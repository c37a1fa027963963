// Command busprobe talks to the manager over /run/systemd/private, for what
// systemctl has no verb for:
//
//	busprobe call PATH INTERFACE.METHOD [TYPE:VALUE…]   print the reply
//	busprobe get PATH INTERFACE.PROPERTY                print one property
//	busprobe signals COMMAND…                           run it, print the signals meanwhile
//	busprobe transient UNIT [NAME=FILE…] -- COMMAND…    start it with the files as ExtraFileDescriptors
//	busprobe auxscope SCOPE FLAGS PID…                  a scope of these processes beside the own unit
//
// PATH may be a unit name. TYPE is s, u, i, t, b or o. Signals are printed one
// per line with what matters for ordering: JobNew UNIT, JobRemoved UNIT RESULT,
// UnitNew UNIT, UnitRemoved UNIT, Changed UNIT ACTIVE/SUB, Reloading BOOL.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
)

const (
	service     = "org.freedesktop.systemd1"
	managerPath = dbus.ObjectPath("/org/freedesktop/systemd1")
	unitPath    = "/org/freedesktop/systemd1/unit/"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "busprobe: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 {
		return errors.New("usage: busprobe call|get|signals …")
	}
	conn, err := dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	switch args[0] {
	case "call":
		return call(conn, args[1:])
	case "get":
		return get(conn, args[1:])
	case "signals":
		return signals(conn, args[1:])
	case "transient":
		return transient(conn, args[1], args[2:])
	case "auxscope":
		if len(args) < 3 {
			return errors.New("usage: busprobe auxscope NAME FLAGS PID…")
		}
		flags, err := strconv.ParseUint(args[2], 0, 64)
		if err != nil {
			return err
		}
		return auxScope(conn, args[1], flags, args[3:])
	}
	return fmt.Errorf("verb %q: unknown", args[0])
}

// dial does what systemctl does: no bus, so no Hello.
func dial() (*dbus.Conn, error) {
	conn, err := dbus.Dial("unix:path=/run/systemd/private")
	if err != nil {
		return nil, err
	}
	if err := conn.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Getuid()))}); err != nil {
		conn.Close()
		return nil, err
	}
	// sd-bus loses a first message that arrives in one read with BEGIN.
	time.Sleep(50 * time.Millisecond)
	return conn, nil
}

// objectPath takes a path as it is and escapes a unit name.
func objectPath(name string) dbus.ObjectPath {
	if strings.HasPrefix(name, "/") {
		return dbus.ObjectPath(name)
	}
	var escaped strings.Builder
	for i := range len(name) {
		c := name[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if letter || (i > 0 && c >= '0' && c <= '9') {
			escaped.WriteByte(c)
			continue
		}
		fmt.Fprintf(&escaped, "_%02x", c)
	}
	return dbus.ObjectPath(unitPath + escaped.String())
}

// unitName undoes objectPath.
func unitName(path dbus.ObjectPath) string {
	escaped := strings.TrimPrefix(string(path), unitPath)
	var name strings.Builder
	for i := 0; i < len(escaped); i++ {
		if escaped[i] == '_' && i+2 < len(escaped) {
			if code, err := strconv.ParseUint(escaped[i+1:i+3], 16, 8); err == nil {
				name.WriteByte(byte(code))
				i += 2
				continue
			}
		}
		name.WriteByte(escaped[i])
	}
	return name.String()
}

func call(conn *dbus.Conn, args []string) error {
	if len(args) < 2 {
		return errors.New("call: PATH and METHOD are missing")
	}
	var values []any
	for _, text := range args[2:] {
		value, err := argument(text)
		if err != nil {
			return err
		}
		values = append(values, value)
	}
	reply := conn.Object(service, objectPath(args[0])).Call(args[1], 0, values...)
	if reply.Err != nil {
		return named(reply.Err)
	}
	for _, value := range reply.Body {
		fmt.Println(value)
	}
	return nil
}

// named puts the D-Bus name of an error before its text.
func named(err error) error {
	var failure dbus.Error
	if errors.As(err, &failure) {
		return fmt.Errorf("%s: %w", failure.Name, err)
	}
	return err
}

func argument(text string) (any, error) {
	kind, value, _ := strings.Cut(text, ":")
	switch kind {
	case "s":
		return value, nil
	case "o":
		return dbus.ObjectPath(value), nil
	case "b":
		return strconv.ParseBool(value)
	case "u":
		number, err := strconv.ParseUint(value, 10, 32)
		return uint32(number), err
	case "i":
		number, err := strconv.ParseInt(value, 10, 32)
		return int32(number), err
	case "t":
		return strconv.ParseUint(value, 10, 64)
	}
	return nil, fmt.Errorf("argument %q: unknown type", text)
}

func get(conn *dbus.Conn, args []string) error {
	if len(args) != 2 {
		return errors.New("get: PATH and INTERFACE.PROPERTY are missing")
	}
	value, err := conn.Object(service, objectPath(args[0])).GetProperty(args[1])
	if err != nil {
		return named(err)
	}
	fmt.Println(value.String())
	return nil
}

// quiet is how long no signal must come until the list is taken as complete.
const quiet = 300 * time.Millisecond

func signals(conn *dbus.Conn, command []string) error {
	stream := make(chan *dbus.Signal, 1024)
	conn.Signal(stream)
	if err := conn.Object(service, managerPath).Call(service+".Manager.Subscribe", 0).Err; err != nil {
		return err
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stderr = os.Stderr
	ended := make(chan error, 1)
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { ended <- cmd.Wait() }()
	var idle <-chan time.Time // armed once the command has ended
	for {
		select {
		case signal, ok := <-stream:
			if !ok {
				return errors.New("the manager closed the connection")
			}
			if line := describe(signal); line != "" {
				fmt.Println(line)
			}
			if idle != nil {
				idle = time.After(quiet)
			}
		case <-ended:
			idle = time.After(quiet)
		case <-idle:
			return nil
		}
	}
}

func describe(signal *dbus.Signal) string {
	body := signal.Body
	switch strings.TrimPrefix(signal.Name, service+".Manager.") {
	case "JobNew":
		return fmt.Sprintf("JobNew %v", body[2])
	case "JobRemoved":
		return fmt.Sprintf("JobRemoved %v %v", body[2], body[3])
	case "UnitNew", "UnitRemoved":
		return fmt.Sprintf("%s %v", strings.TrimPrefix(signal.Name, service+".Manager."), body[0])
	case "Reloading":
		return fmt.Sprintf("Reloading %v", body[0])
	}
	if signal.Name != "org.freedesktop.DBus.Properties.PropertiesChanged" || len(body) < 2 || body[0] != service+".Unit" {
		return ""
	}
	changed, ok := body[1].(map[string]dbus.Variant)
	if !ok {
		return ""
	}
	return fmt.Sprintf("Changed %s %v/%v", unitName(signal.Path), changed["ActiveState"].Value(), changed["SubState"].Value())
}
