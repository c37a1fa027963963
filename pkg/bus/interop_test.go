package bus

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	sddbus "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

// demo is a small manager: enough for real clients to talk to.
type demo struct {
	t testing.TB
}

var demoInterface = Interface{
	Name: "test.Demo",
	Methods: []Method{
		{Name: "Echo", In: []Arg{{"s", "text"}}, Out: []Arg{{"s", "text"}}},
		{Name: "Old", Deprecated: true, Privileged: true},
		{Name: "Bye", NoReply: true},
	},
	Properties: []Property{
		{Name: "Version", Type: "s", Emits: EmitsConst},
		{Name: "Level", Type: "u", Writable: true},
		{Name: "Counter", Type: "t", Emits: EmitsNothing, Explicit: true},
		{Name: "List", Type: "a(ss)", Emits: EmitsInvalidates, Deprecated: true},
	},
	Signals: []Signal{{Name: "Changed", Args: []Arg{{"u", "id"}, {"o", "what"}}}},
}

func (s demo) handle(c *Conn, m *Message) {
	defer m.CloseFDs()
	if m.Type != TypeCall {
		return
	}
	r := m.Reply()
	var e Encoder
	var err error
	switch m.Interface + "." + m.Member {
	case "org.freedesktop.DBus.Hello":
		e.String(":1.1")
		r.SetBody("s", &e)
	case "org.freedesktop.DBus.AddMatch", "org.freedesktop.DBus.Peer.Ping":
	case "org.freedesktop.DBus.Introspectable.Introspect":
		var children []string
		if m.Path == "/" {
			children = []string{"child_1"}
		}
		e.String(Introspection([]Interface{demoInterface}, children))
		r.SetBody("s", &e)
	case "org.freedesktop.DBus.Properties.Get":
		err = s.get(m, &e)
		r.SetBody("v", &e)
	case "org.freedesktop.DBus.Properties.GetAll":
		s.getAll(&e)
		r.SetBody("a{sv}", &e)
	case "test.Demo.Echo":
		r.Signature, r.Body, r.FDs, r.BigEndian = m.Signature, m.Body, m.FDs, m.BigEndian
	case "org.freedesktop.systemd1.Manager.StartUnit":
		err = s.start(c, m, &e)
		r.SetBody("o", &e)
	case "org.freedesktop.systemd1.Manager.GetUnit":
		d := m.Decoder()
		e.ObjectPath(UnitPath(d.String()))
		r.SetBody("o", &e)
	default:
		err = Errorf(ErrUnknownMethod, "no method %s", m.Member)
	}
	if err != nil {
		r = m.ErrorReply(err)
	}
	if m.WantsReply() {
		if _, err := c.Queue(r); err != nil {
			s.t.Errorf("reply to %s: %v", m.Member, err)
		}
	}
}

func (s demo) get(m *Message, e *Encoder) error {
	d, err := m.Args("ss")
	if err != nil {
		return err
	}
	d.Skip("s")
	switch name := d.String(); name {
	case "ActiveState":
		if unit, ok := UnitFromPath(m.Path); !ok || unit != "nginx.service" {
			e.VariantString("failed")
			return nil
		}
		e.VariantString("active")
	case "SystemState":
		e.VariantString("running")
	case "NeedDaemonReload":
		e.VariantBool(false)
	case "Level":
		e.VariantUint32(7)
	default:
		return Errorf(ErrUnknownProperty, "Unknown property %s.", name)
	}
	return d.Done()
}

func (s demo) getAll(e *Encoder) {
	a := e.BeginArray('{')
	e.Entry("Level")
	e.VariantUint32(7)
	e.Entry("Version")
	e.VariantString("1")
	e.Entry("List")
	e.Variant("a(ss)")
	in := e.BeginArray('(')
	e.Struct()
	e.String("a")
	e.String("b")
	e.EndArray(in)
	e.EndArray(a)
}

func (s demo) start(c *Conn, m *Message, e *Encoder) error {
	d, err := m.Args("ss")
	if err != nil {
		return err
	}
	unit := d.String()
	d.Skip("s")
	if strings.HasPrefix(unit, "missing") {
		return Errorf(ErrNoSuchUnit, "Unit %s not found.", unit)
	}
	e.ObjectPath(JobPath(17))
	sig := NewSignal(ManagerPath, "org.freedesktop.systemd1.Manager", "JobRemoved")
	var b Encoder
	b.Uint32(17)
	b.ObjectPath(JobPath(17))
	b.String(unit)
	b.String("done")
	sig.SetBody("uoss", &b)
	s.later(c, sig)
	return d.Done()
}

// later keeps m until the reply to the current call has been queued.
func (s demo) later(c *Conn, m *Message) { demoLater[c] = append(demoLater[c], m) }

// demoLater belongs to the server loop of the one test that runs.
var demoLater = map[*Conn][]*Message{}

// startDemo serves demo on a socket and returns its path.
func startDemo(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "private")
	s := demo{t: t}
	stop := serve(t, listen(t, path), ServerConfig{}, func(c *Conn, m *Message) {
		s.handle(c, m)
		for _, m := range demoLater[c] {
			if _, err := c.Queue(m); err != nil {
				t.Error(err)
			}
		}
		delete(demoLater, c)
	})
	t.Cleanup(stop)
	return path
}

func tool(t *testing.T, name string) string {
	t.Helper()
	p, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed; it is only the other side here", name)
	}
	return p
}

func run(t *testing.T, args ...string) (stdout string, code int) {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "SYSTEMD_COLORS=0", "SYSTEMD_PAGER=", "LC_ALL=C.UTF-8")
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	timer := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	if err := cmd.Run(); err != nil {
		if _, ok := err.(*exec.ExitError); !ok {
			t.Fatal(err)
		}
	}
	return out.String() + errOut.String(), cmd.ProcessState.ExitCode()
}

func TestBusctl(t *testing.T) {
	busctl := tool(t, "busctl")
	addr := "--address=unix:path=" + startDemo(t)
	for _, c := range []struct {
		args, want string
		code       int
	}{
		{"call test.Demo / test.Demo Echo s hello", "s \"hello\"\n", 0},
		{"call test.Demo / test.Demo Echo a(sv) 2 a as 2 x y b (tb) 5 true", "a(sv) 2 \"a\" as 2 \"x\" \"y\" \"b\" (tb) 5 true\n", 0},
		{"call -- test.Demo / test.Demo Echo ybnqiuxtdsog 1 true -2 3 -4 5 -6 7 1.5 s /o as", "ybnqiuxtdsog 1 true -2 3 -4 5 -6 7 1.5 \"s\" \"/o\" \"as\"\n", 0},
		{"call test.Demo / test.Demo Nothing", "Call failed: no method Nothing\n", 1},
		{"get-property test.Demo / test.Demo Level", "u 7\n", 0},
		{"get-property test.Demo / test.Demo Other", "Unknown property Other.", 1},
	} {
		out, code := run(t, append([]string{busctl, addr}, strings.Fields(c.args)...)...)
		if code != c.code || !strings.Contains(out, c.want) {
			t.Errorf("busctl %s: %d %q", c.args, code, out)
		}
	}
}

func TestBusctlIntrospect(t *testing.T) {
	busctl := tool(t, "busctl")
	addr := "--address=unix:path=" + startDemo(t)
	out, code := run(t, busctl, addr, "introspect", "test.Demo", "/")
	if code != 0 {
		t.Fatal(out)
	}
	var got []string
	for _, line := range strings.Split(out, "\n") {
		got = append(got, strings.Join(strings.Fields(line), " "))
	}
	all := strings.Join(got, "\n")
	for _, want := range []string{
		"test.Demo interface - - -", ".Echo method s s -", ".Old method - - deprecated", ".Bye method - - no-reply",
		`.Level property u 7 emits-change writable`, `.Version property s "1" const`,
		`.List property a(ss) 1 "a" "b" deprecated emits-invalidation`, ".Changed signal uo - -",
		"org.freedesktop.DBus.Properties interface - - -", ".PropertiesChanged signal sa{sv}as - -",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no line %q", want)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
	// busctl tree wants well-formed XML with our child.
	if out, code = run(t, busctl, addr, "tree", "--list", "test.Demo"); code != 0 || !strings.Contains(out, "/child_1\n") {
		t.Errorf("tree: %d %.2000s", code, out)
	}
}

// TestSystemctl runs the real systemctl, with our socket in the place of
// PID 1's by way of a mount namespace.
func TestSystemctl(t *testing.T) {
	systemctl, unshare := tool(t, "systemctl"), tool(t, "unshare")
	if os.Getuid() != 0 {
		t.Skip("needs root for a mount namespace")
	}
	dir := filepath.Dir(startDemo(t))
	if err := os.Mkdir(filepath.Join(dir, "system"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args, want string
		code       int
	}{
		{"is-active nginx.service", "active\n", 0},
		{"is-active other.service", "failed\n", 3},
		{"is-system-running", "running\n", 0},
		{"start nginx.service", "", 0},
		{"start missing.service", "Failed to start missing.service: Unit missing.service not found.\n", 5},
	} {
		script := "mount --bind " + dir + " /run/systemd && exec " + systemctl + " " + c.args
		if out, code := run(t, unshare, "-m", "sh", "-c", script); code != c.code || out != c.want {
			t.Errorf("systemctl %s: %d %q", c.args, code, out)
		}
	}
}

func TestGodbusClient(t *testing.T) {
	conn, err := dbus.Dial("unix:path=" + startDemo(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Auth(nil); err != nil {
		t.Fatal(err)
	}
	if !conn.SupportsUnixFDs() {
		t.Error("no descriptor passing")
	}
	obj := conn.Object("test.Demo", "/")
	in := []any{"x", uint16(3), map[string]dbus.Variant{"k": MakeVariant([]string{"v"})}}
	call := obj.Call("test.Demo.Echo", 0, in...)
	if call.Err != nil {
		t.Fatal(call.Err)
	}
	if fmt.Sprint(call.Body) != fmt.Sprint(in) {
		t.Errorf("got %v", call.Body)
	}
	if v, err := obj.GetProperty("test.Demo.Level"); err != nil || v.Value() != uint32(7) {
		t.Errorf("%v, %v", v, err)
	}
	err = obj.Call("test.Demo.No", 0).Err
	if e, ok := err.(dbus.Error); !ok || e.Name != string(ErrUnknownMethod) {
		t.Errorf("%v", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	call = obj.Call("test.Demo.Echo", 0, dbus.UnixFD(w.Fd()))
	if call.Err != nil {
		t.Fatal(call.Err)
	}
	w.Close()
	back := os.NewFile(uintptr(call.Body[0].(dbus.UnixFD)), "back")
	if _, err := back.WriteString("through"); err != nil {
		t.Fatal(err)
	}
	back.Close()
	if b, err := io.ReadAll(r); err != nil || string(b) != "through" {
		t.Errorf("%q, %v", b, err)
	}
}

// TestGoSystemd runs go-systemd's client, which waits for JobRemoved.
func TestGoSystemd(t *testing.T) {
	path := startDemo(t)
	conn, err := sddbus.NewConnection(func() (*dbus.Conn, error) {
		c, err := dbus.Dial("unix:path=" + path)
		if err != nil {
			return nil, err
		}
		return c, c.Auth(nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	p, err := conn.GetUnitPropertyContext(t.Context(), "nginx.service", "ActiveState")
	if err != nil || p.Value.Value() != "active" {
		t.Errorf("%v, %v", p, err)
	}
}

func TestClientAgainstServer(t *testing.T) {
	path := startDemo(t)
	c, err := Dial("unix:path=/nonexistent;unix:path=" + EscapeAddress(path))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var signals []string
	c.OnSignal = func(m *Message) { signals = append(signals, m.Member) }
	got, err := c.CallArgs(ManagerName, ManagerPath, "org.freedesktop.systemd1.Manager", "StartUnit", "x.service", "replace")
	if err != nil || len(got) != 1 || got[0] != JobPath(17) {
		t.Fatalf("%v, %v", got, err)
	}
	for len(signals) == 0 {
		if ok, err := c.Process(patience); err != nil || !ok {
			t.Fatal("no signal", err)
		}
	}
	if signals[0] != "JobRemoved" {
		t.Errorf("%v", signals)
	}
	_, err = c.CallArgs(ManagerName, ManagerPath, "org.freedesktop.systemd1.Manager", "StartUnit", "missing", "replace")
	if !HasName(err, ErrNoSuchUnit) {
		t.Errorf("%v", err)
	}
	var calls []*Message
	for i := range 6000 { // more than may be pending at once
		calls = append(calls, call("Echo", uint32(i)))
		calls[i].Interface = "test.Demo"
	}
	replies, err := c.CallAll(calls)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range replies {
		if d := r.Message.Decoder(); r.Err != nil || d.Uint32() != uint32(i) {
			t.Fatalf("reply %d: %v", i, r.Err)
		}
	}
	_, _ = c.Process(0) // tells of the signal, if that came with the answer
	if ok, err := c.Process(0); ok || err != nil {
		t.Errorf("Process: %v, %v", ok, err)
	}
}

// TestSignalBehindAnAnswer: a signal that is read together with an answer wakes who waits next.
func TestSignalBehindAnAnswer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	stop := serve(t, listen(t, path), ServerConfig{}, func(c *Conn, m *Message) {
		if _, err := c.Queue(m.Reply()); err != nil {
			t.Error(err)
		}
		if _, err := c.Queue(NewSignal("/x", "test.Demo", "Changed")); err != nil {
			t.Error(err)
		}
	})
	defer stop()
	c, err := DialPath(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	signals := 0
	c.OnSignal = func(*Message) { signals++ }
	for i := range 50 {
		if _, err := c.Call(call("Ask")); err != nil {
			t.Fatal(err)
		}
		if ok, err := c.Process(patience); !ok || err != nil || signals != i+1 {
			t.Fatalf("call %d: Process %v, %v, %d signals", i, ok, err, signals)
		}
	}
}

func TestClientTimeoutAndRefusal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	stop := serve(t, listen(t, path), ServerConfig{}, func(c *Conn, m *Message) {
		if m.Member == "Ask" { // ask back instead of answering
			if _, err := c.Queue(call("Back")); err != nil {
				t.Error(err)
			}
		}
	})
	defer stop()
	c, err := DialPath(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Timeout = 50 * time.Millisecond
	if _, err := c.Call(call("Ask")); !HasName(err, ErrNoReply) {
		t.Errorf("got %v", err)
	}
	if n := c.conn.PendingCalls(); n != 0 {
		t.Errorf("%d calls still pending", n)
	}
	if _, err := Dial("unix:path=" + path + ",guid=ffffffffffffffffffffffffffffffff"); err == nil {
		t.Error("wrong server id accepted")
	}
}
