package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

const privateSocket = "/run/systemd/private"

// kept are connections that stay open until the payload ends.
var kept []net.Conn

// hostile opens connections to the private socket that misbehave: KIND[,N].
// What the manager answers is read only where the kind says so; that it goes
// on serving others is for the scenario to see.
func hostile(argument string) error {
	kind, number, _ := strings.Cut(argument, ",")
	count := 1
	if number != "" {
		var err error
		if count, err = strconv.Atoi(number); err != nil {
			return err
		}
	}
	act, ok := hostileKinds[kind]
	if !ok {
		return fmt.Errorf("kind %q: unknown", kind)
	}
	return act(count)
}

var hostileKinds = map[string]func(count int) error{
	"noauth":   func(n int) error { return repeat(n, func() error { return keepConn(dialPrivate(false)) }) },
	"halfauth": func(n int) error { return repeat(n, halfAuth) },
	"idle":     func(n int) error { return repeat(n, func() error { return keepConn(dialPrivate(true)) }) },
	"random":   func(n int) error { return repeat(n, randomBytes) },
	"half":     func(n int) error { return repeat(n, halfMessage) },
	"deaf":     func(n int) error { return repeat(n, deaf) },
	"pipeline": pipeline,
	"path":     longPath,
	"deep":     deepVariant,
	"size":     hugeLength,
	"close":    func(n int) error { return repeat(n, closeAtOnce) },
}

func repeat(n int, one func() error) error {
	for i := range n {
		if err := one(); err != nil {
			return fmt.Errorf("connection %d: %w", i+1, err)
		}
	}
	return nil
}

func keepConn(conn net.Conn, err error) error {
	if err == nil {
		kept = append(kept, conn)
	}
	return err
}

// dialPrivate connects and, when asked, does the handshake.
func dialPrivate(auth bool) (net.Conn, error) {
	conn, err := net.Dial("unix", privateSocket)
	if err != nil || !auth {
		return conn, err
	}
	hello := fmt.Sprintf("\x00AUTH EXTERNAL %x\r\n", strconv.Itoa(os.Getuid()))
	if _, err := io.WriteString(conn, hello); err != nil {
		return nil, err
	}
	line := make([]byte, 128)
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return nil, err
	}
	n, err := conn.Read(line)
	if err != nil || !bytes.HasPrefix(line[:n], []byte("OK ")) {
		return nil, fmt.Errorf("AUTH: answer %q, %w", line[:n], err)
	}
	if _, err := io.WriteString(conn, "BEGIN\r\n"); err != nil {
		return nil, err
	}
	// sd-bus loses a first message that arrives in one read with BEGIN.
	time.Sleep(2 * time.Millisecond)
	return conn, nil
}

func halfAuth() error {
	conn, err := dialPrivate(false)
	if err == nil {
		_, err = io.WriteString(conn, "\x00AUTH EXTERN")
	}
	return keepConn(conn, err)
}

func closeAtOnce() error {
	conn, err := dialPrivate(true)
	if err == nil {
		_, _ = conn.Write(call(1, "/org/freedesktop/systemd1", "ListUnits", "", nil))
		err = conn.Close()
	}
	return err
}

// randomBytes sends noise, half of the time after a handshake. How the
// connection ends does not matter.
func randomBytes() error {
	conn, err := dialPrivate(rand.Intn(2) == 0)
	if err != nil {
		return err
	}
	noise := make([]byte, rand.Intn(4096)+1)
	rand.Read(noise) // never fails
	if rand.Intn(2) == 0 {
		noise[0] = 'l'
	}
	_, _ = conn.Write(noise)
	return conn.Close()
}

// halfMessage sends a call up to some byte and stays.
func halfMessage() error {
	conn, err := dialPrivate(true)
	if err == nil {
		message := call(1, "/org/freedesktop/systemd1", "GetUnit", "s", stringArgument("basic.target"))
		_, err = conn.Write(message[:1+rand.Intn(len(message)-1)])
	}
	return keepConn(conn, err)
}

// deaf asks for signals and long answers and never reads.
func deaf() error {
	conn, err := dialPrivate(true)
	if err != nil {
		return err
	}
	_, err = conn.Write(call(1, "/org/freedesktop/systemd1", "Subscribe", "", nil))
	if err := keepConn(conn, err); err != nil {
		return err
	}
	if err := conn.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	for serial := uint32(2); serial < 2000; serial++ {
		if _, err := conn.Write(call(serial, "/org/freedesktop/systemd1", "ListUnits", "", nil)); err != nil {
			break // the manager takes no more: as it should
		}
	}
	return nil
}

// pipeline writes n calls without waiting, and wants n answers in their order.
func pipeline(n int) error {
	conn, err := dialPrivate(true)
	if err != nil {
		return err
	}
	defer conn.Close()
	var out []byte
	for i := range n {
		out = append(out, call(uint32(i+1), "/org/freedesktop/systemd1", "GetUnit", "s", stringArgument("basic.target"))...)
	}
	written := make(chan error, 1)
	go func() {
		_, err := conn.Write(out)
		written <- err
	}()
	if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	for want := uint32(1); int(want) <= n; {
		serial, err := readReply(conn)
		if err != nil {
			return fmt.Errorf("after %d answers: %w", want-1, err)
		}
		if serial == 0 {
			continue // a signal
		}
		if serial != want {
			return fmt.Errorf("answer to call %d where %d was due", serial, want)
		}
		want++
	}
	return <-written
}

// readReply reads one message and returns the serial it answers; 0 for none.
func readReply(conn net.Conn) (uint32, error) {
	head := make([]byte, 16)
	if _, err := io.ReadFull(conn, head); err != nil {
		return 0, err
	}
	body, fields := binary.LittleEndian.Uint32(head[4:]), binary.LittleEndian.Uint32(head[12:])
	rest := make([]byte, (fields+7)&^7+body)
	if _, err := io.ReadFull(conn, rest); err != nil {
		return 0, err
	}
	for pos := 0; pos+4 <= int(fields); {
		code, kind := rest[pos], rest[pos+2]
		pos += 4
		switch kind {
		case 'u':
			if code == 5 {
				return binary.LittleEndian.Uint32(rest[pos:]), nil
			}
			pos += 4
		case 's', 'o':
			pos += 4 + int(binary.LittleEndian.Uint32(rest[pos:])) + 1
		case 'g':
			pos += 1 + int(rest[pos]) + 1
		default:
			return 0, errors.New("header field of another type")
		}
		pos = (pos + 7) &^ 7
	}
	return 0, nil
}

// longPath calls an object whose path has n bytes; the connection may end.
func longPath(n int) error {
	conn, err := dialPrivate(true)
	if err != nil {
		return err
	}
	path := "/org/freedesktop/systemd1/unit/" + strings.Repeat("a", n)
	_, _ = conn.Write(call(1, path, "Ping", "", nil))
	return keepConn(conn, nil)
}

// deepVariant sends variants nested n deep where a call takes a string.
func deepVariant(n int) error {
	conn, err := dialPrivate(true)
	if err != nil {
		return err
	}
	body := append(bytes.Repeat([]byte{1, 'v', 0}, n), 1, 'y', 0, 7)
	for i, member := range []string{"GetUnit", "SetUnitProperties", "StartTransientUnit"} {
		_, _ = conn.Write(call(uint32(i+1), "/org/freedesktop/systemd1", member, "v", body))
	}
	nested := strings.Repeat("a", min(n, 200))
	_, _ = conn.Write(call(9, "/org/freedesktop/systemd1", "GetUnit", nested+"y", make([]byte, 4)))
	return keepConn(conn, nil)
}

// hugeLength announces a body and header fields of n bytes that never come.
func hugeLength(n int) error {
	for _, at := range []int{4, 12} {
		conn, err := dialPrivate(true)
		if err != nil {
			return err
		}
		message := call(1, "/org/freedesktop/systemd1", "GetUnit", "s", stringArgument("x"))
		binary.LittleEndian.PutUint32(message[at:], uint32(n))
		_, _ = conn.Write(message)
		kept = append(kept, conn)
	}
	return nil
}

func stringArgument(text string) []byte {
	out := binary.LittleEndian.AppendUint32(nil, uint32(len(text)))
	return append(append(out, text...), 0)
}

// call encodes a method call of the manager's interface, without any check, so
// that it can be wrong.
func call(serial uint32, path, member, signature string, body []byte) []byte {
	out := []byte{'l', 1, 0, 1}
	out = binary.LittleEndian.AppendUint32(out, uint32(len(body)))
	out = binary.LittleEndian.AppendUint32(out, serial)
	var fields []byte
	field := func(code, kind byte, value string) {
		for len(fields)%8 != 0 {
			fields = append(fields, 0)
		}
		fields = append(fields, code, 1, kind, 0)
		if kind == 'g' {
			fields = append(append(append(fields, byte(len(value))), value...), 0)
			return
		}
		fields = append(fields, stringArgument(value)...)
	}
	field(1, 'o', path)
	field(2, 's', "org.freedesktop.systemd1.Manager")
	field(3, 's', member)
	field(6, 's', "org.freedesktop.systemd1")
	if signature != "" {
		field(8, 'g', signature)
	}
	out = binary.LittleEndian.AppendUint32(out, uint32(len(fields)))
	out = append(out, fields...)
	for len(out)%8 != 0 {
		out = append(out, 0)
	}
	return append(out, body...)
}
