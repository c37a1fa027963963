package ctl

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/bus"
)

var update = flag.Bool("update", false, "write the golden files anew")

// fakeManager answers the calls of a tool from a table of units, as a manager at the other end of a connection.
type fakeManager struct {
	t       *testing.T
	units   []fakeUnit
	manager map[string]any
	jobs    [][]any
	// on answers a method before the built-in ones: the reply's signature and values, or an error.
	on map[string]func(args []any) (sig string, values []any, err error)
	// result is what jobs end with, by unit; "done" without an entry. hold keeps jobs from ending for this long.
	result map[string]string
	hold   time.Duration

	calls []string // Member(arguments), in order
	job   uint32
	due   []dueJob
}

// dueJob is a job that will have ended at a time.
type dueJob struct {
	at   time.Time
	id   uint32
	unit string
}

type fakeUnit struct {
	name, description, load, active, sub string
	job                                  uint32
	jobType                              string
	props                                map[string]any
}

func (m *fakeManager) unit(name string) *fakeUnit {
	for i := range m.units {
		if m.units[i].name == name {
			return &m.units[i]
		}
	}
	return &fakeUnit{name: name, description: name, load: "not-found", active: "inactive", sub: "dead"}
}

// dial gives a client that is connected to the fake.
func (m *fakeManager) dial(bool) (*bus.Client, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if err := m.start(fds[0]); err != nil {
		return nil, err
	}
	return bus.NewClient(fds[1])
}

// start serves the client at the other end of fd.
func (m *fakeManager) start(fd int) error {
	conn, err := bus.NewServerConn(fd, bus.ServerConfig{GUID: strings.Repeat("a", 32)})
	if err != nil {
		return err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.serve(conn)
	}()
	m.t.Cleanup(func() { <-done })
	return nil
}

// listen serves the first client that connects to path; the fake must be that path's own.
func (m *fakeManager) listen(path string) {
	m.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	listener, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		m.t.Fatal(err)
	}
	if err = unix.Bind(listener, &unix.SockaddrUnix{Name: path}); err == nil {
		err = unix.Listen(listener, 1)
	}
	if err != nil {
		m.t.Fatal(err)
	}
	go func() {
		fd, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		if err == nil {
			err = m.start(fd)
		}
		if err != nil {
			m.t.Errorf("%s: %v", path, err)
		}
		unix.Close(listener)
	}()
}

func (m *fakeManager) serve(conn *bus.Conn) {
	defer conn.Close()
	for {
		p := []unix.PollFd{{Fd: int32(conn.FD()), Events: unix.POLLIN}}
		if conn.WantsWrite() {
			p[0].Events |= unix.POLLOUT
		}
		wait := -1
		if len(m.due) > 0 {
			wait = max(0, int(time.Until(m.due[0].at).Milliseconds()))
		}
		if _, err := unix.Poll(p, wait); err != nil && err != unix.EINTR {
			return
		}
		msgs, err := conn.OnReadable()
		for _, msg := range msgs {
			m.handle(conn, msg)
		}
		for len(m.due) > 0 && !time.Now().Before(m.due[0].at) {
			m.jobRemoved(conn, m.due[0])
			m.due = m.due[1:]
		}
		if err != nil || conn.OnWritable() != nil {
			return
		}
	}
}

func (m *fakeManager) handle(conn *bus.Conn, msg *bus.Message) {
	args, err := msg.DecodeArgs()
	if err != nil {
		m.t.Errorf("call %s: %v", msg.Member, err)
	}
	if msg.Interface != propertyIface {
		m.calls = append(m.calls, fmt.Sprintf("%s%v", msg.Member, args))
	}
	sig, values, err := m.answer(msg, args)
	if err != nil {
		_, _ = conn.Queue(msg.ErrorReply(err))
		return
	}
	out := msg.Reply()
	var e bus.Encoder
	encodeAll(&e, sig, values)
	out.SetBody(sig, &e)
	if _, err := conn.Queue(out); err != nil {
		m.t.Errorf("reply to %s: %v", msg.Member, err)
	}
	if sig == "o" && strings.HasSuffix(msg.Member, "Unit") {
		m.due = append(m.due, dueJob{time.Now().Add(m.hold), m.job, args[0].(string)})
	}
}

// encodeAll writes values by a signature of several types.
func encodeAll(e *bus.Encoder, sig string, values []any) {
	for _, v := range values {
		first := firstType(sig)
		e.Value(first, v)
		sig = sig[len(first):]
	}
}

func firstType(sig string) string {
	depth := 0
	for i := 0; i < len(sig); i++ {
		switch sig[i] {
		case 'a':
			continue
		case '(', '{':
			depth++
			continue
		case ')', '}':
			depth--
		}
		if depth == 0 {
			return sig[:i+1]
		}
	}
	return sig
}

func (m *fakeManager) jobRemoved(conn *bus.Conn, j dueJob) {
	name := j.unit
	s := bus.NewSignal(bus.ManagerPath, managerIface, "JobRemoved")
	var e bus.Encoder
	result := m.result[name]
	if result == "" {
		result = "done"
	}
	e.Uint32(j.id)
	e.ObjectPath(bus.JobPath(j.id))
	e.String(name)
	e.String(result)
	s.SetBody("uoss", &e)
	if _, err := conn.Queue(s); err != nil {
		m.t.Errorf("JobRemoved: %v", err)
	}
}

func (m *fakeManager) answer(msg *bus.Message, args []any) (string, []any, error) {
	if f := m.on[msg.Member]; f != nil {
		return f(args)
	}
	switch msg.Member {
	case "GetAll", "Get":
		return m.properties(msg, args)
	case "ListUnitsByPatterns":
		return "a(ssssssouso)", []any{m.list(args[0].([]string), args[1].([]string))}, nil
	case "ListJobs":
		return "a(usssoo)", []any{m.jobs}, nil
	case "Subscribe", "Reload", "ResetFailed", "ClearJobs":
		return "", nil, nil
	case "StartUnit", "StopUnit", "RestartUnit", "ReloadUnit", "TryRestartUnit", "ReloadOrRestartUnit", "ReloadOrTryRestartUnit":
		if u := m.unit(args[0].(string)); u.load == "not-found" {
			return "", nil, bus.Errorf(bus.ErrNoSuchUnit, "Unit %s not found.", u.name)
		}
		m.job++
		return "o", []any{bus.JobPath(m.job)}, nil
	}
	return "", nil, bus.Errorf(bus.ErrUnknownMethod, "Unknown method %s.", msg.Member)
}

func (m *fakeManager) list(states, patterns []string) [][]any {
	out := [][]any{}
	for _, u := range m.units {
		if len(states) > 0 && !contains(states, u.active) && !contains(states, u.sub) && !contains(states, u.load) || !matchesAny(u.name, patterns) {
			continue
		}
		job := bus.ObjectPath("/")
		if u.job != 0 {
			job = bus.JobPath(u.job)
		}
		out = append(out, []any{u.name, u.description, u.load, u.active, u.sub, "", bus.UnitPath(u.name), u.job, u.jobType, job})
	}
	return out
}

// properties gives the properties of a unit: those every unit has, and its own.
func (m *fakeManager) properties(msg *bus.Message, args []any) (string, []any, error) {
	props := m.manager
	if name, ok := bus.UnitFromPath(msg.Path); ok {
		u := m.unit(name)
		props = map[string]any{"Id": u.name, "Description": u.description, "LoadState": u.load, "ActiveState": u.active, "SubState": u.sub, "NeedDaemonReload": false,
			"Job": []any{u.job, bus.ObjectPath("/")}}
		for k, v := range u.props {
			props[k] = v
		}
	}
	if msg.Member == "Get" {
		v, ok := props[args[1].(string)]
		if !ok {
			return "", nil, bus.Errorf(bus.ErrUnknownProperty, "Unknown property %s.", args[1])
		}
		return "v", []any{m.variant(args[1].(string), v)}, nil
	}
	out := map[string]bus.Variant{}
	for k, v := range props {
		out[k] = m.variant(k, v)
	}
	return "a{sv}", []any{out}, nil
}

// variant gives structures their signature, which Go values don't have.
func (m *fakeManager) variant(name string, v any) bus.Variant {
	if typed, ok := v.(bus.Variant); ok {
		return typed
	}
	if name == "Job" {
		pair := v.([]any)
		return bus.MakeVariant(struct {
			ID   uint32
			Path bus.ObjectPath
		}{pair[0].(uint32), pair[1].(bus.ObjectPath)})
	}
	return bus.MakeVariant(v)
}

// fakeNow is when every test runs.
var fakeNow = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func usec(t time.Time) uint64 { return uint64(t.UnixMicro()) }

// testEnv is an Env that writes into buffers. columns > 0 makes the output a terminal of that width.
func testEnv(m *fakeManager, columns int) (e *Env, out, err *bytes.Buffer) {
	out, err = &bytes.Buffer{}, &bytes.Buffer{}
	e = &Env{
		Name: "systemctl", In: strings.NewReader(""), Out: out, Err: err, LookupEnv: func(name string) (string, bool) {
			v, ok := map[string]string{"TERM": "xterm-256color", "SYSTEMD_PAGER": ""}[name]
			return v, ok
		},
		Environ: func() []string { return nil }, OutTerminal: columns > 0, ErrTerminal: columns > 0, Columns: columns, Lines: 24,
		Now: func() time.Time { return fakeNow }, Location: time.UTC, Root: "/nonexistent",
	}
	if m != nil {
		e.Dial = m.dial
	} else {
		e.Dial = func(bool) (*bus.Client, error) { return nil, unix.ECONNREFUSED }
	}
	return e, out, err
}

// runWith runs systemctl against the fake and gives the exit status with both outputs.
func runWith(m *fakeManager, columns int, args ...string) (status int, out, err string) {
	e, o, r := testEnv(m, columns)
	status = runSystemctl(e, args, true)
	return status, o.String(), r.String()
}

// golden compares with testdata/NAME.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}
