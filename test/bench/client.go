package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/muster-init/muster/test/container/box"
)

const (
	service     = "org.freedesktop.systemd1"
	managerPath = dbus.ObjectPath("/org/freedesktop/systemd1")
	manager     = service + ".Manager"
)

// client is one connection to the private socket of the manager in a box.
type client struct {
	conn    *dbus.Conn
	signals chan *dbus.Signal
}

// connect tries until the socket is there; a re-executing manager closes it for
// a moment.
func connect(ctx context.Context, b *box.Box) (*client, error) {
	for {
		conn, err := dial(ctx, b)
		if err == nil {
			return &client{conn: conn}, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("private socket: %w", errors.Join(ctx.Err(), err))
		case <-b.Done():
			return nil, errors.New("private socket: PID 1 has ended")
		case <-time.After(time.Millisecond):
		}
	}
}

func dial(ctx context.Context, b *box.Box) (*dbus.Conn, error) {
	socket, err := b.DialUnix(ctx, "/run/systemd/private")
	if err != nil {
		return nil, err
	}
	conn, err := dbus.NewConn(socket)
	if err != nil {
		socket.Close()
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

func (c *client) close() {
	if c != nil {
		c.conn.Close()
	}
}

func (c *client) call(ctx context.Context, method string, args ...any) *dbus.Call {
	return c.conn.Object(service, managerPath).CallWithContext(ctx, manager+"."+method, 0, args...)
}

func (c *client) get(ctx context.Context, path dbus.ObjectPath, iface, property string) (dbus.Variant, error) {
	var value dbus.Variant
	err := c.conn.Object(service, path).CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", 0, iface, property).Store(&value)
	return value, err
}

// ask gets the state of a unit every box has.
func (c *client) ask(ctx context.Context) error {
	_, err := c.get(ctx, unitPath("bench.target"), service+".Unit", "ActiveState")
	return err
}

func unitPath(name string) dbus.ObjectPath {
	var escaped strings.Builder
	for i := range len(name) {
		c := name[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || (i > 0 && c >= '0' && c <= '9') {
			escaped.WriteByte(c)
		} else {
			fmt.Fprintf(&escaped, "_%02x", c)
		}
	}
	return dbus.ObjectPath("/org/freedesktop/systemd1/unit/" + escaped.String())
}

// startAndPoll starts a unit and polls until it is active.
func (c *client) startAndPoll(ctx context.Context, unit string) (time.Duration, error) {
	began := time.Now()
	if err := c.call(ctx, "StartUnit", unit, "replace").Err; err != nil {
		return 0, fmt.Errorf("%s: %w", unit, err)
	}
	return c.pollState(ctx, unit, "active", began)
}

func (c *client) pollState(ctx context.Context, unit, want string, began time.Time) (time.Duration, error) {
	for {
		state, err := c.get(ctx, unitPath(unit), service+".Unit", "ActiveState")
		if err != nil {
			return 0, fmt.Errorf("%s: %w", unit, err)
		}
		switch state.Value() {
		case want:
			return time.Since(began), nil
		case "failed":
			return 0, fmt.Errorf("%s: failed", unit)
		}
		if err := ctx.Err(); err != nil {
			return 0, fmt.Errorf("%s: still %v: %w", unit, state.Value(), err)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// subscribe makes job and waiting possible.
func (c *client) subscribe(ctx context.Context) error {
	c.signals = make(chan *dbus.Signal, 4096)
	c.conn.Signal(c.signals)
	return c.call(ctx, "Subscribe").Err
}

// job calls StartUnit or StopUnit and waits for its JobRemoved.
func (c *client) job(ctx context.Context, method, unit string) (time.Duration, error) {
	began := time.Now()
	var path dbus.ObjectPath
	if err := c.call(ctx, method, unit, "replace").Store(&path); err != nil {
		return 0, fmt.Errorf("%s %s: %w", method, unit, err)
	}
	for {
		select {
		case signal := <-c.signals:
			if signal == nil {
				return 0, fmt.Errorf("%s %s: connection closed", method, unit)
			}
			if signal.Name != manager+".JobRemoved" || len(signal.Body) < 4 || signal.Body[1] != path {
				continue
			}
			if signal.Body[3] != "done" {
				return 0, fmt.Errorf("%s %s: job result %v", method, unit, signal.Body[3])
			}
			return time.Since(began), nil
		case <-ctx.Done():
			return 0, fmt.Errorf("%s %s: no JobRemoved: %w", method, unit, ctx.Err())
		}
	}
}
