package unit

import "testing"

func TestManagerConfig(t *testing.T) {
	m := DefaultManagerConfig(true)
	messages := ReadManagerConfig(testHost(), m, []File{
		{Path: "/etc/systemd/system.conf", Text: "[Manager]\nLogLevel=debug\nDefaultTimeoutStopSec=10\nDefaultLimitNOFILE=1024:4096\n" +
			"RuntimeWatchdogSec=default\nCrashChangeVT=yes\nDefaultEnvironment=A=1 B=2\nShowStatus=auto\nNope=1\n[Service]\nX=1\n"},
		{Path: "/etc/systemd/system.conf.d/a.conf", Text: "[Manager]\nDefaultEnvironment=\nDefaultEnvironment=\"C=x y\"\nCrashReboot=yes\n" +
			"DefaultTasksMax=50%\nDefaultTimeoutAbortSec=3\n"},
	})
	if len(messages) != 2 {
		t.Errorf("messages: %v", messages)
	}
	if m.LogLevel != 7 || m.DefaultTimeoutStopUSec != 10e6 || m.RuntimeWatchdogUSec != Infinity || m.CrashChangeVT != 0 ||
		m.CrashAction != "reboot" || len(m.DefaultEnvironment) != 1 || m.DefaultEnvironment[0] != "C=x y" || m.ShowStatus != "auto" {
		t.Errorf("%+v", m)
	}
	d := NewDefaults(m)
	u, _ := Load(testHost(), d, &Source{Name: "a.service", Fragment: &File{Path: "/a.service", Text: "[Service]\nExecStart=/bin/true\nNice=1\n"}})
	if u.Service.TimeoutStopUSec != 10e6 || u.Exec.Limits[RLimitNOFILE].Hard != 4096 || u.Service.AbortTimeoutUSec() != 3e6 {
		t.Errorf("the manager's defaults don't reach the unit: %+v", u.Service)
	}
	if v := u.GetCgroup().TasksMax; v.Value != 16383 && v.Value != 16384 {
		t.Errorf("TasksMax %+v", v)
	}
	if s := (&Unit{Name: "a.slice", Type: TypeSlice, defaults: d}).GetCgroup().TasksMax; s.Value != Infinity {
		t.Errorf("TasksMax of a slice %+v", s)
	}
}

// TestUserDefaults: what differs in a user manager.
func TestUserDefaults(t *testing.T) {
	d := NewDefaults(DefaultManagerConfig(false))
	if d.Exec.KeyringMode != "inherit" || d.otherExec.KeyringMode != "inherit" {
		t.Errorf("KeyringMode %s, %s", d.Exec.KeyringMode, d.otherExec.KeyringMode)
	}
}

func TestClone(t *testing.T) {
	u := load(t, "a.service", "[Unit]\nFailureAction=exit\n[Service]\nExecStart=/bin/true\nRestartMode=direct\nNice=1\nPrivateTmp=yes\n")
	c := u.Clone()
	for _, p := range []struct {
		name  string
		value any
	}{{"FailureAction", "reboot"}, {"RestartMode", "normal"}, {"Nice", int32(5)}, {"PrivateTmp", false}, {"Description", "new"}} {
		if _, err := SetProperty(testHost(), c, p.name, newReader(p.value), SetTransient); err != nil {
			t.Fatal(err)
		}
	}
	if u.Unit.FailureAction != "exit" || u.Service.RestartMode != "direct" || u.Exec.Nice.Value != 1 || u.Exec.Sandbox.PrivateTmp != "yes" ||
		u.Unit.Description != "" {
		t.Error("changing a clone changed the unit")
	}
	if c.Unit.FailureAction != "reboot" || c.Service.RestartMode != "normal" || c.Exec.Nice.Value != 5 || c.Exec.Sandbox.PrivateTmp != "no" {
		t.Error("the clone wasn't changed")
	}
}
