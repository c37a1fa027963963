package bus

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	sddbus "github.com/coreos/go-systemd/v22/dbus"
	"golang.org/x/sys/unix"
)

func TestPathsAreGoSystemds(t *testing.T) {
	for _, s := range []string{
		"", "nginx.service", "0.service", "a0.b", "_", "-.mount", "dev-disk-by\\x2duuid-1.device", "foo@bar.service", "ä.service",
		"Ünit", "UPPER.scope", "a_b", "1", "\xff", strings.Repeat("x.", 100),
	} {
		if got, want := EscapeLabel(s), sddbus.PathBusEscape(s); got != want {
			t.Errorf("%q: %q, go-systemd %q", s, got, want)
		}
		if s == "" {
			continue
		}
		if got, ok := UnitFromPath(UnitPath(s)); !ok || got != s {
			t.Errorf("%q comes back as %q", s, got)
		}
		if got, want := UnescapeLabel(EscapeLabel(s)), s; got != want {
			t.Errorf("%q unescapes to %q", want, got)
		}
	}
	if p := UnitPath("nginx.service"); p != "/org/freedesktop/systemd1/unit/nginx_2eservice" {
		t.Error(p)
	}
	for _, p := range []ObjectPath{"/", "/org/freedesktop/systemd1", "/org/freedesktop/systemd1/unit", "/org/freedesktop/systemd1/unit/a/b", "/org/freedesktop/systemd1/job/1"} {
		if n, ok := UnitFromPath(p); ok {
			t.Errorf("%s is unit %q", p, n)
		}
	}
	for in, want := range map[string]string{"a_": "a_", "a_2": "a_2", "_2E": ".", "_zz": "_zz", "__2d": "_-"} {
		if got := UnescapeLabel(in); got != want {
			t.Errorf("%q unescapes to %q", in, got)
		}
	}
}

func TestJobPaths(t *testing.T) {
	for _, id := range []uint32{0, 1, 10, 1<<32 - 1} {
		if got, ok := JobFromPath(JobPath(id)); !ok || got != id {
			t.Errorf("%d: %s gives %d", id, JobPath(id), got)
		}
	}
	for _, s := range []string{"", "x", "-1", "01", "4294967296", "99999999999", "1/2", "1x"} {
		if id, ok := JobFromPath(ObjectPath(jobPrefix + s)); ok {
			t.Errorf("%q is job %d", s, id)
		}
	}
	if _, ok := JobFromPath("/"); ok {
		t.Error("/ is a job")
	}
}

// TestErrnoNames holds what sd_bus_error_set_errno and sd_bus_error_get_errno
// of systemd 252 answer.
func TestErrnoNames(t *testing.T) {
	for no, want := range map[unix.Errno]ErrorName{
		unix.EPERM: "org.freedesktop.DBus.Error.AccessDenied", unix.ENOENT: "org.freedesktop.DBus.Error.FileNotFound",
		unix.EBUSY: "System.Error.EBUSY", unix.EDEADLK: "System.Error.EDEADLK", unix.ECONNRESET: "org.freedesktop.DBus.Error.Disconnected",
		unix.Errno(41): "org.freedesktop.DBus.Error.Failed", unix.EOPNOTSUPP: "org.freedesktop.DBus.Error.NotSupported",
		unix.EHWPOISON: "System.Error.EHWPOISON", unix.ETIMEDOUT: "org.freedesktop.DBus.Error.Timeout",
	} {
		if got := NameOfErrno(no); got != want {
			t.Errorf("%v: %s, want %s", no, got, want)
		}
	}
	for name, want := range map[ErrorName]unix.Errno{
		ErrNoSuchUnit: unix.ENOENT, ErrUnitMasked: unix.ERFKILL, ErrFailed: unix.EACCES, "System.Error.ENOENT": unix.ENOENT,
		"System.Error.EFOO": unix.EIO, "foo.bar.Baz": unix.EIO, ErrTransactionIsDestructive: unix.EDEADLK, ErrNoIsolation: unix.EPERM,
		ErrUnknownMethod: unix.EBADR, ErrNotReferenced: unix.EUNATCH, ErrScopeNotRunning: unix.EHOSTDOWN,
	} {
		if got := (&Error{Name: name}).Errno(); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	for name := range errnoOfName {
		if !ValidErrorName(string(name)) {
			t.Errorf("%q is no error name", name)
		}
	}
	// Every name an errno travels under leads back to an errno.
	for no := unix.Errno(1); no < 134; no++ {
		if back := (&Error{Name: NameOfErrno(no)}).Errno(); strings.HasPrefix(string(NameOfErrno(no)), systemErrorPrefix) && back != no {
			t.Errorf("%v comes back as %v", no, back)
		}
	}
}

func TestErrorOf(t *testing.T) {
	_, missing := os.Open("/nonexistent")
	for _, c := range []struct {
		err  error
		name ErrorName
		msg  string
	}{
		{missing, ErrFileNotFound, "open /nonexistent: no such file or directory"},
		{fmt.Errorf("unit: %w", &Error{Name: ErrUnitMasked, Message: "masked"}), ErrUnitMasked, "unit: masked"},
		{errors.New("odd"), ErrFailed, "odd"},
		{unix.EBUSY, "System.Error.EBUSY", "device or resource busy"},
		{&Error{Name: ErrNoSuchJob}, ErrNoSuchJob, ""},
	} {
		if e := ErrorOf(c.err); e.Name != c.name || e.Message != c.msg {
			t.Errorf("%v: %+v", c.err, e)
		}
	}
	if e := ErrorOf(missing); !errors.Is(e, unix.ENOENT) || errors.Is(e, unix.EBUSY) || !errors.Is(e, &Error{Name: ErrFileNotFound}) {
		t.Error("errors.Is does not see through")
	}
	if errors.Is(ErrorOf(missing), fs.ErrExist) {
		t.Error("Is says yes to anything")
	}
	if (&Error{Name: ErrNoReply}).Error() != string(ErrNoReply) {
		t.Error("no text without message")
	}
}

func TestAddresses(t *testing.T) {
	env := func(k string) string { return map[string]string{"XDG_RUNTIME_DIR": "/run/user/7"}[k] }
	for in, want := range map[string]string{
		"unix:path=/run/a":                       "/run/a",
		"unix:path=/run/a%2cb%3b,guid=00":        "/run/a,b;",
		"unix:abstract=/tmp/x":                   "@/tmp/x",
		"unix:runtime=yes":                       "/run/user/7/bus",
		"unix:path=/1;unix:path=/2;":             "/1 /2",
		"tcp:host=x":                             "!transport is not supported",
		"unix:dir=/tmp":                          "!none of path=",
		"unix:runtime=no":                        "!none of path=",
		"":                                       "!empty",
		";;":                                     "!empty",
		"unix":                                   "!no transport",
		"unix:path":                              "!not key=value",
		"unix:path=/a,path=/b":                   "!twice",
		"unix:path=%z":                           "!two hex digits",
		"unix:path=%0":                           "!two hex digits",
		"unix:path=/a%00b":                       "!no socket name",
		"unix:path=/" + strings.Repeat("x", 200): "!no socket name",
	} {
		var got []string
		list, err := ParseAddress(in)
		for _, a := range list {
			sa, err := a.Socket(env)
			if err != nil {
				got = append(got, "!"+err.Error())
				continue
			}
			got = append(got, sa.Name)
		}
		if err != nil {
			got = append(got, "!"+err.Error())
		}
		s := strings.Join(got, " ")
		if bad, ok := strings.CutPrefix(want, "!"); ok && s != "" && s[0] == '!' && strings.Contains(s, bad) {
			continue
		}
		if s != want {
			t.Errorf("%q: %q, want %q", in, s, want)
		}
	}
	if _, err := (Address{Transport: "unix", Keys: map[string]string{"runtime": "yes"}}).Socket(func(string) string { return "" }); err == nil {
		t.Error("runtime=yes without $XDG_RUNTIME_DIR")
	}
	for _, s := range []string{"/run/user/0/bus", "a b,c;d=e%f", "ä"} {
		list, err := ParseAddress("unix:path=" + EscapeAddress(s))
		if err != nil || list[0].Keys["path"] != s {
			t.Errorf("%q: %v, %v", s, list, err)
		}
	}
}

func TestBusAddresses(t *testing.T) {
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "")
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	t.Setenv("XDG_RUNTIME_DIR", "")
	if SystemAddress() != "unix:path=/run/dbus/system_bus_socket" || UserAddress() != "" {
		t.Errorf("%q, %q", SystemAddress(), UserAddress())
	}
	if _, err := DialUser(); err == nil {
		t.Error("dials no address")
	}
	t.Setenv("XDG_RUNTIME_DIR", "/run/user/5;x")
	if UserAddress() != "unix:path=/run/user/5%3bx/bus" {
		t.Error(UserAddress())
	}
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/s")
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/u")
	if SystemAddress() != "unix:path=/s" || UserAddress() != "unix:path=/u" {
		t.Errorf("%q, %q", SystemAddress(), UserAddress())
	}
}

func TestMatches(t *testing.T) {
	m := NewSignal("/org/a", "org.I", "Changed")
	m.Sender, m.Destination = ":1.3", ":1.4"
	var e Encoder
	e.String("org.x.y")
	e.ObjectPath("/p/q")
	e.Uint32(1)
	e.String("/dir/")
	m.SetBody("sous", &e)
	for rule, want := range map[string]bool{
		"":                        true,
		"type='signal'":           true,
		"type=signal":             true,
		"type='method_call'":      false,
		"sender=':1.3'":           true,
		"sender=':1.4'":           false,
		"destination=:1.4":        true,
		"interface='org.I'":       true,
		"interface='org.J'":       false,
		"member=Changed":          true,
		"member=Other":            false,
		"path=/org/a":             true,
		"path=/org":               false,
		"path_namespace=/org":     true,
		"path_namespace=/":        true,
		"path_namespace=/org/a":   true,
		"path_namespace=/or":      false,
		"arg0=org.x.y":            true,
		"arg0=other":              false,
		"arg1=/p/q":               false, // only strings
		"arg1path=/p/q":           true,
		"arg1path=/p/":            true,
		"arg1path=/p":             false,
		"arg3path=/dir/file":      true,
		"arg3path=/other/":        false,
		"arg2=1":                  false,
		"arg9=x":                  false,
		"arg0namespace=org.x":     true,
		"arg0namespace=org.x.y":   true,
		"arg0namespace=org.xx":    false,
		"type='signal',arg0='a'":  false,
		" type='signal', arg0=zz": false,
	} {
		r, err := ParseMatch(rule)
		if err != nil {
			t.Errorf("%q: %v", rule, err)
			continue
		}
		if got := r.Matches(m); got != want {
			t.Errorf("%q: %v", rule, got)
		}
		back, err := ParseMatch(r.String())
		if err != nil || back.Matches(m) != want {
			t.Errorf("%q printed as %q: %v", rule, r.String(), err)
		}
	}
	for _, rule := range []string{
		"x", "type='x'", "foo='bar'", "arg64='x'", "arg-1=x", "arg01=x", "argx=y", "type='signal", "path='a'", "sender='x'", "member='a.b'",
		"interface=a", "path=/a,path_namespace=/b", "type=signal,type=signal", "eavesdrop=maybe", "destination=1", "arg0pathx=y", "=x",
	} {
		if r, err := ParseMatch(rule); err == nil {
			t.Errorf("%q accepted: %+v", rule, r)
		}
	}
}
