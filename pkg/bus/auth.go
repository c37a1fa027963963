package bus

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
)

// Limits of the handshake, both sides.
const (
	maxAuthLine  = 4096
	maxAuthLines = 64
	maxRejects   = 8
)

var (
	errAuthLine    = errors.New("authentication: line too long")
	errAuthLines   = errors.New("authentication: too many lines")
	errAuthRejects = errors.New("authentication: too many attempts")
	errAuthNUL     = errors.New("authentication: first byte is not NUL")
)

// authLine cuts the first line off in. ok is false while it is incomplete.
func authLine(in []byte) (line []byte, used int, ok bool, err error) {
	i := bytes.Index(in, []byte("\r\n"))
	if i > maxAuthLine || i < 0 && len(in) > maxAuthLine {
		return nil, 0, false, errAuthLine
	}
	if i < 0 {
		return nil, 0, false, nil
	}
	for _, c := range in[:i] {
		if c < ' ' || c > '~' {
			return nil, 0, false, errors.New("authentication: line is not ASCII text")
		}
	}
	return in[:i], i + 2, true, nil
}

// States of serverAuth.
const (
	serverWaitNUL = iota
	serverWaitAuth
	serverWaitData
	serverWaitBegin
)

// serverAuth is the server side of the handshake, a pure state machine. It
// speaks EXTERNAL, checked against the uid the kernel reports, and ANONYMOUS
// where that is allowed.
type serverAuth struct {
	guid      string
	uid       uint32
	anonymous bool // ANONYMOUS is acceptable
	noFDs     bool // descriptors are refused

	state   int
	mech    string
	fds     bool
	lines   int
	rejects int
}

// feed consumes whole lines of in and returns how many bytes it used and what
// to send. done is true after BEGIN: what follows in in are messages.
func (a *serverAuth) feed(in []byte) (used int, out []byte, done bool, err error) {
	if a.state == serverWaitNUL {
		if len(in) == 0 {
			return 0, nil, false, nil
		}
		if in[0] != 0 {
			return 0, nil, false, errAuthNUL
		}
		a.state, used = serverWaitAuth, 1
	}
	for !done {
		line, n, ok, err := authLine(in[used:])
		if err != nil || !ok {
			return used, out, false, err
		}
		used += n
		if a.lines++; a.lines > maxAuthLines {
			return used, out, false, errAuthLines
		}
		var answer string
		if answer, done, err = a.command(line); err != nil {
			return used, out, false, err
		}
		if answer != "" {
			out = append(append(out, answer...), '\r', '\n')
		}
	}
	return used, out, true, nil
}

// command handles one line.
func (a *serverAuth) command(line []byte) (answer string, done bool, err error) {
	word, rest, _ := bytes.Cut(line, []byte(" "))
	switch string(word) {
	case "AUTH":
		if a.state == serverWaitAuth {
			answer, err = a.auth(rest)
			return answer, false, err
		}
	case "DATA":
		if a.state == serverWaitData {
			answer, err = a.data(rest)
			return answer, false, err
		}
	case "CANCEL", "ERROR":
		answer, err = a.reject()
		return answer, false, err
	case "NEGOTIATE_UNIX_FD":
		if a.state == serverWaitBegin && !a.noFDs {
			a.fds = true
			return "AGREE_UNIX_FD", false, nil
		}
	case "BEGIN":
		if a.state == serverWaitBegin {
			return "", true, nil
		}
		return "", false, errors.New("authentication: BEGIN before it succeeded")
	}
	return "ERROR", false, nil
}

func (a *serverAuth) auth(args []byte) (string, error) {
	mech, response, given := bytes.Cut(args, []byte(" "))
	switch a.mech = string(mech); a.mech {
	case "EXTERNAL":
	case "ANONYMOUS":
		if !a.anonymous {
			return a.reject()
		}
	default:
		return a.reject()
	}
	if !given {
		a.state = serverWaitData
		return "DATA", nil
	}
	return a.data(response)
}

// data handles the response of the mechanism: for EXTERNAL the decimal uid, or
// nothing for the uid of the socket's peer; for ANONYMOUS any trace text.
func (a *serverAuth) data(response []byte) (string, error) {
	text, err := hex.DecodeString(string(response))
	if err != nil {
		return a.reject()
	}
	if a.mech == "EXTERNAL" && len(text) > 0 && string(text) != strconv.FormatUint(uint64(a.uid), 10) {
		return a.reject()
	}
	a.state = serverWaitBegin
	return "OK " + a.guid, nil
}

func (a *serverAuth) reject() (string, error) {
	a.state, a.fds = serverWaitAuth, false
	if a.rejects++; a.rejects > maxRejects {
		return "", errAuthRejects
	}
	if a.anonymous {
		return "REJECTED EXTERNAL ANONYMOUS", nil
	}
	return "REJECTED EXTERNAL", nil
}

// clientAuth is the client side: EXTERNAL as the uid of the socket, and
// descriptor passing where the server agrees. Everything is sent at once.
type clientAuth struct {
	ok    bool // the server said OK
	guid  string
	fds   bool
	lines int
}

// clientHello is the whole of what the client says. The uid is left to the
// kernel, so that it also holds across user namespaces.
const clientHello = "\x00AUTH EXTERNAL\r\nDATA\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n"

// feed consumes whole lines of in. done is true when the server has answered
// everything; then messages follow.
func (a *clientAuth) feed(in []byte) (used int, done bool, err error) {
	for !done {
		line, n, ok, err := authLine(in[used:])
		if err != nil || !ok {
			return used, false, err
		}
		used += n
		if a.lines++; a.lines > maxAuthLines {
			return used, false, errAuthLines
		}
		if done, err = a.answer(line); err != nil {
			return used, false, err
		}
	}
	return used, true, nil
}

func (a *clientAuth) answer(line []byte) (done bool, err error) {
	word, rest, _ := bytes.Cut(line, []byte(" "))
	switch string(word) {
	case "DATA":
		if !a.ok {
			return false, nil
		}
	case "OK":
		if a.ok {
			break
		}
		if !validGUID(string(rest)) {
			return false, fmt.Errorf("authentication: server id %q is not 32 hex digits", clip(string(rest)))
		}
		a.ok, a.guid = true, string(rest)
		return false, nil
	case "AGREE_UNIX_FD":
		if a.ok {
			a.fds = true
			return true, nil
		}
	case "ERROR":
		if a.ok { // no descriptors, but everything else
			return true, nil
		}
		return false, errors.New("authentication: refused by the server")
	case "REJECTED":
		return false, errors.New("authentication: rejected by the server")
	}
	return false, fmt.Errorf("authentication: unexpected answer %q", clip(string(line)))
}

// validGUID reports whether s is a server id: 32 hex digits.
func validGUID(s string) bool {
	if len(s) != 32 {
		return false
	}
	for i := 0; i < len(s); i++ {
		if unhex(s[i]) < 0 {
			return false
		}
	}
	return true
}
