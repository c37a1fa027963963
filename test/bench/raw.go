package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
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
	conn   net.Conn
	answer []byte
}

func dialRaw(ctx context.Context, inside *box.Box) (*rawClient, error) {
	conn, err := inside.DialUnix(ctx, "/run/systemd/private")
	if err != nil {
		return nil, err
	}
	r := &rawClient{conn: conn, answer: make([]byte, 1<<16)}
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
	if _, err := io.ReadFull(r.conn, head); err != nil {
		return 0, err
	}
	kind := head[1]
	fields, body := binary.LittleEndian.Uint32(head[12:]), binary.LittleEndian.Uint32(head[4:])
	rest := int64((fields+7)/8*8) + int64(body)
	for rest > 0 {
		n, err := r.conn.Read(r.answer[:min(rest, int64(len(r.answer)))])
		if err != nil {
			return 0, err
		}
		rest -= int64(n)
	}
	return kind, nil
}
