package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/muster-init/muster/test/container/box"
)

// rawClient repeats one call and throws the answers away undecoded, so that a
// rate is the manager's and not that of a client's reflection.
type rawClient struct {
	conn   *blockingConn
	in     *bufio.Reader
	answer []byte
	body   []byte // end of the last message, as far as it is short
}

func dialRaw(ctx context.Context, inside *box.Box) (*rawClient, error) {
	conn, err := dialBlocking(ctx, inside, "/run/systemd/private")
	if err != nil {
		return nil, err
	}
	r := &rawClient{conn: conn, in: bufio.NewReaderSize(conn, 1<<16), answer: make([]byte, 1<<16)}
	if err := r.authenticate(); err != nil {
		conn.Close()
		return nil, err
	}
	return r, nil
}

func (r *rawClient) authenticate() error {
	uid := fmt.Sprintf("%x", strconv.Itoa(os.Getuid()))
	if _, err := io.WriteString(r.conn, "\x00AUTH EXTERNAL "+uid+"\r\n"); err != nil {
		return err
	}
	n, err := r.conn.Read(r.answer)
	if err != nil || !strings.HasPrefix(string(r.answer[:n]), "OK ") {
		return fmt.Errorf("authentication: %q, %w", r.answer[:n], err)
	}
	if _, err := io.WriteString(r.conn, "BEGIN\r\n"); err != nil {
		return err
	}
	// sd-bus loses a first message that arrives in one read with BEGIN.
	time.Sleep(50 * time.Millisecond)
	return nil
}

// rawCall encodes a method call with string arguments.
func rawCall(path dbus.ObjectPath, iface, member string, args ...any) ([]byte, error) {
	msg := &dbus.Message{Type: dbus.TypeMethodCall, Body: args, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath:        dbus.MakeVariant(path),
		dbus.FieldInterface:   dbus.MakeVariant(iface),
		dbus.FieldMember:      dbus.MakeVariant(member),
		dbus.FieldDestination: dbus.MakeVariant(service),
	}}
	if len(args) > 0 {
		msg.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(args...))
	}
	var encoded bytes.Buffer
	if err := msg.EncodeTo(&encoded, binary.LittleEndian); err != nil {
		return nil, err
	}
	// godbus leaves the serial to its connection; any but zero is valid.
	binary.LittleEndian.PutUint32(encoded.Bytes()[8:], 1)
	return encoded.Bytes(), nil
}

// call sends the message and reads one whole message, which must be a reply.
func (r *rawClient) call(message []byte) error {
	if _, err := r.conn.Write(message); err != nil {
		return err
	}
	for {
		kind, err := r.read()
		if err != nil {
			return err
		}
		switch kind {
		case byte(dbus.TypeMethodReply):
			return nil
		case byte(dbus.TypeError):
			return errors.New("the call was refused")
		}
	}
}

// read reads one message and tells its type.
func (r *rawClient) read() (byte, error) {
	head := r.answer[:16]
	if _, err := io.ReadFull(r.in, head); err != nil {
		return 0, err
	}
	kind := head[1]
	fields, body := binary.LittleEndian.Uint32(head[12:]), binary.LittleEndian.Uint32(head[4:])
	rest := int64((fields+7)/8*8) + int64(body)
	r.body = r.body[:0]
	for rest > 0 {
		n, err := r.in.Read(r.answer[:min(rest, int64(len(r.answer)))])
		if err != nil {
			return 0, err
		}
		if rest -= int64(n); rest == 0 {
			r.body = r.answer[:n]
		}
	}
	return kind, nil
}

// startAndPoll starts a unit and asks for its state until it is active. A peer of the private socket gets every signal, asked for or not: to decode them
// takes a client as long as a start takes the manager, and to be woken for each as long as a process takes to start. So they are read when the state is
// asked for, and thrown away.
func (r *rawClient) startAndPoll(ctx context.Context, unit string) (time.Duration, error) {
	start, err := rawCall(managerPath, manager, "StartUnit", unit, "replace")
	if err != nil {
		return 0, err
	}
	ask, err := rawCall(unitPath(unit), "org.freedesktop.DBus.Properties", "Get", service+".Unit", "ActiveState")
	if err != nil {
		return 0, err
	}
	stop := context.AfterFunc(ctx, r.conn.abort)
	defer stop()
	began := time.Now()
	for message := start; ; message = ask {
		if err := r.call(message); err != nil {
			return 0, fmt.Errorf("%s: %w", unit, errors.Join(ctx.Err(), err))
		}
		switch state := lastString(r.body); state {
		case "active":
			return time.Since(began), nil
		case "failed":
			return 0, fmt.Errorf("%s: failed", unit)
		}
		time.Sleep(pollPause)
	}
}

// pollPause is short beside what is measured, and what is sent meanwhile fits into the socket.
const pollPause = 2 * time.Millisecond

// lastString is the string that a message ends with.
func lastString(body []byte) string {
	text := strings.TrimSuffix(string(body), "\x00")
	return text[strings.LastIndexByte(text, 0)+1:]
}
