package unit

import (
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write what is said about testdata/files as expected")

// TestFiles loads testdata/files and compares the load state and every
// message with FILE.messages; those without .bad. in their name must have
// none.
func TestFiles(t *testing.T) {
	paths, err := filepath.Glob("testdata/files/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		if strings.HasSuffix(p, ".messages") {
			continue
		}
		data, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(p)
		u, messages := Load(testHost(), nil, &Source{Name: name, Fragment: &File{Path: name, Text: string(data)}})
		var b strings.Builder
		b.WriteString(string(u.LoadState) + "\n")
		for _, m := range messages {
			b.WriteString(m.String() + "\n")
		}
		if !strings.Contains(name, ".bad.") {
			if b.String() != "loaded\n" {
				t.Errorf("%s: %s", name, b.String())
			}
			continue
		}
		if *rewrite {
			if err := os.WriteFile(p+".messages", []byte(b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(p + ".messages")
		if err != nil {
			t.Fatal(err)
		}
		if b.String() != string(want) {
			t.Errorf("%s: run with -rewrite and look at the difference\n got %s\nwant %s", name, b.String(), want)
		}
	}
}

// TestRealUnits: everything installed on this machine loads, and nothing
// worse than an old directive is found in it.
func TestRealUnits(t *testing.T) {
	for path, text := range realFiles(t) {
		name := filepath.Base(path)
		if Form(name) == NameTemplate {
			name = InstanceOf(name, "x")
		}
		if strings.HasSuffix(path, ".good") {
			name = "x.service"
		}
		u, messages := Load(testHost(), nil, &Source{Name: name, Fragment: &File{Path: path, Text: text}})
		for _, m := range messages {
			if m.Level <= LevelWarning && !(u.Type == TypeMount && u.LoadState == StateBadSetting) {
				t.Errorf("%v", m)
			}
		}
		if u.LoadState != StateLoaded {
			t.Errorf("%s: %s %v", path, u.LoadState, u.LoadError)
		}
	}
}

func load(t *testing.T, name, text string, dropins ...string) *Unit {
	t.Helper()
	src := &Source{Name: name, Fragment: &File{Path: "/f/" + name, Text: text}}
	for i, d := range dropins {
		src.DropIns = append(src.DropIns, File{Path: "/d/" + string(rune('a'+i)) + ".conf", Text: d})
	}
	u, _ := Load(testHost(), nil, src)
	return u
}

func TestMerge(t *testing.T) {
	u := load(t, "a.service", "[Unit]\nAfter=x.target\nWants=w.target\n[Service]\nEnvironment=A=1\nExecStart=/bin/one\nUser=u\n",
		"[Unit]\nAfter=\nAfter=y.target\n[Service]\nEnvironment=\nEnvironment=B=2\nExecStart=\nExecStart=/bin/two\n",
		"[Service]\nUser=\nTimeoutStopSec=7\n")
	if got := strings.Join(u.depNames(DepAfter), " "); got != "x.target y.target" {
		t.Errorf("After=%s: an empty assignment doesn't reset dependencies", got)
	}
	if e := u.GetExec(); strings.Join(e.Environment, " ") != "B=2" || e.User != "" {
		t.Errorf("Environment=%q User=%q", e.Environment, e.User)
	}
	if s := u.Service; len(s.ExecStart) != 1 || s.ExecStart[0].Path != "/bin/two" || s.TimeoutStopUSec != 7e6 {
		t.Errorf("ExecStart=%v TimeoutStopUSec=%d", s.ExecStart, s.TimeoutStopUSec)
	}
	for i, want := range []string{"/f/a.service:2", "/f/a.service:3", "/d/a.conf:3"} {
		if got := u.Where(u.Deps[i].Origin); got != want {
			t.Errorf("%v is from %s, want %s", u.Deps[i], got, want)
		}
	}
	if strings.Join(u.DropInPaths, " ") != "/d/a.conf /d/b.conf" {
		t.Errorf("DropInPaths=%q", u.DropInPaths)
	}
}

// TestBadDropIn: a drop-in that can't be used loses itself, not the unit.
func TestBadDropIn(t *testing.T) {
	for _, d := range []string{"[Service\n", "[Unit]\nDescription=\xff\n", "[Service]\nExecStart=rel/path\n", "[Service]\nUser=a:b\n"} {
		u := load(t, "a.service", "[Service]\nExecStart=/bin/true\n", d, "[Unit]\nDescription=later\n")
		if u.LoadState != StateLoaded || u.Description() != "later" || u.GetExec().User != "" {
			t.Errorf("drop-in %q: %s, %s, %q", d, u.LoadState, u.Description(), u.GetExec().User)
		}
	}
}

func TestTemplatesInDependencies(t *testing.T) {
	text := "[Unit]\nAfter=t@.service\nWants=%i.target\n[Service]\nExecStart=/bin/true\n"
	if got := load(t, "a@x.service", text).Deps; got[0].Name != "t@x.service" || got[1].Name != "x.target" {
		t.Errorf("instance: %v", got)
	}
	if got := load(t, "a.service", text).Deps; got[0].Name != "t@a.service" {
		t.Errorf("plain: %v", got)
	}
}

// TestImplied are settings that follow from others.
func TestImplied(t *testing.T) {
	for text, want := range map[string]string{
		"ExecStart=/bin/true":                              "simple main 90000000 stop journal",
		"ExecStart=/bin/true\nBusName=org.x.Y":             "dbus none 90000000 stop journal",
		"ExecStop=/bin/true\nRemainAfterExit=yes":          "oneshot none 18446744073709551615 stop journal",
		"Type=oneshot\nExecStart=/bin/true\nTimeoutSec=3":  "oneshot none 3000000 stop journal",
		"Type=notify\nExecStart=/bin/true\nDelegate=yes":   "notify main 90000000 continue journal",
		"ExecStart=/bin/true\nStandardInput=tty":           "simple none 90000000 stop inherit",
		"ExecStart=/bin/true\nStandardOutput=inherit":      "simple none 90000000 stop journal",
		"ExecStart=/bin/true\nStandardInputText=hello":     "simple none 90000000 stop journal",
		"ExecStart=/bin/true\nOOMPolicy=kill\nDelegate=no": "simple none 90000000 kill journal",
	} {
		u := load(t, "a.service", "[Service]\n"+text+"\n")
		s := u.GetService()
		got := strings.Join([]string{s.Type, s.NotifyAccess, formatUint64Plain(s.TimeoutStartUSec), s.OOMPolicy, u.GetExec().StandardOutput.Kind}, " ")
		if got != want && !(s.Type == "simple" && got == strings.Replace(want, " main ", " none ", 1)) {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
	if k := load(t, "a.service", "[Service]\nExecStart=/bin/true\nStandardInputText=hello\n").GetExec().StandardInput.Kind; k != "data" {
		t.Errorf("StandardInput=%s beside data", k)
	}
}

func formatUint64Plain(v uint64) string { return strings.TrimSpace(busUint64Text(v)) }

func busUint64Text(v uint64) string {
	if v == Infinity {
		return "18446744073709551615"
	}
	return formatUint64(v)
}

func TestSharedDefaultsStayUntouched(t *testing.T) {
	before := *BuiltinDefaults().Unit.UnitActions
	extra := *BuiltinDefaults().Service.ServiceExtra
	load(t, "a.service", "[Unit]\nFailureAction=reboot\nJobTimeoutSec=3\n[Service]\nExecStart=/bin/true\nRestartMode=direct\nRestartSteps=3\n"+
		"SuccessExitStatus=3\nNice=4\nPrivateTmp=yes\nMemoryMax=1G\nKillMode=mixed\n")
	if *BuiltinDefaults().Unit.UnitActions != before || BuiltinDefaults().Service.RestartMode != extra.RestartMode ||
		BuiltinDefaults().Service.RestartSteps != 0 || !BuiltinDefaults().Service.SuccessExitStatus.Empty() {
		t.Error("loading a unit changed the defaults of all")
	}
}

// TestSharedBlocksStayUntouched sets every directive of every type.
func TestSharedBlocksStayUntouched(t *testing.T) {
	d := NewDefaults(DefaultManagerConfig(true))
	settings, commands := *d.Service.ServiceSettings, *d.Service.ServiceCommands
	for _, typ := range Types() {
		text := ""
		for _, section := range SectionsOf(typ).Names() {
			text += "[" + section + "]\n"
			for _, r := range table {
				if r.In&SectionFromString(section) != 0 && r.Example != "" {
					text += r.Name + "=" + r.Example + "\n"
				}
			}
		}
		u, _ := Load(testHost(), d, &Source{Name: "a." + typ.String(), Fragment: &File{Path: "/f", Text: text}, DropIns: []File{{Path: "/d", Text: text}},
			Links: []Link{{Path: "/l", Type: DepWants, Name: "b.service"}}})
		u.MarkLoaded()
		Refinish(u.Clone())
		if u.UnitExtra == noExtra || len(u.Links) != 1 || len(u.DropInPaths) != 1 || len(u.Conditions) == 0 {
			t.Errorf("%s: what was set is not there", u.Name)
		}
	}
	if !reflect.DeepEqual(*noExtra, UnitExtra{}) || settings != *d.Service.ServiceSettings || !reflect.DeepEqual(commands, *d.Service.ServiceCommands) {
		t.Error("loading units changed what others share")
	}
}

func TestMessagesAreBounded(t *testing.T) {
	text := "[Unit]\n" + strings.Repeat("Nonsense=1\n", 10000)
	_, messages := Load(testHost(), nil, &Source{Name: "a.target", Fragment: &File{Path: "/a.target", Text: text}})
	if len(messages) != messagesMax+1 || !strings.Contains(messages[messagesMax].Text, "more messages") {
		t.Errorf("%d messages, the last %v", len(messages), messages[len(messages)-1])
	}
}

func TestTransientRefuses(t *testing.T) {
	for _, c := range []struct {
		name  string
		value any
		mode  SetMode
		err   string
	}{
		{"NoSuchThing", "x", SetTransient, ErrReadOnlyProp},
		{"ExecStart", "x", SetRuntime, ErrReadOnlyProp},
		{"Restart", "sometimes", SetTransient, ErrInvalidArgs},
		{"KillSignal", int32(4711), SetTransient, ErrInvalidArgs},
		{"After", []any{"not a unit"}, SetTransient, ErrInvalidArgs},
		{"CPUQuotaPerSecUSec", uint64(0), SetRuntime, ErrInvalidArgs},
		{"MemoryMax", "text", SetRuntime, ErrInvalidArgs},
	} {
		_, err := SetProperty(testHost(), New("a.service", nil), c.name, newReader(c.value), c.mode)
		le, ok := err.(*LoadError)
		if !ok || le.Name != c.err {
			t.Errorf("%s=%v: %v", c.name, c.value, err)
		}
	}
}

func TestTransientConditionsAndTimers(t *testing.T) {
	u := New("a.timer", nil)
	var all []Setting
	set := func(name string, v any) {
		t.Helper()
		s, err := SetProperty(testHost(), u, name, newReader(v), SetTransient)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, s...)
	}
	set("Conditions", []any{[]any{"ConditionPathExists", true, false, "/etc/100%"}})
	set("TimersMonotonic", []any{[]any{"OnActiveUSec", uint64(5e6)}})
	set("TimersCalendar", []any{[]any{"OnCalendar", "daily"}})
	set("Description", "50% done")
	if m := Refinish(u); len(m) != 0 {
		t.Errorf("messages: %v", m)
	}
	want := "[Unit]\nConditionPathExists=|/etc/100%%\n\n[Timer]\nOnActiveSec=5s\nOnCalendar=daily\n\n[Unit]\nDescription=50%% done\n"
	if got := FormatSettings(all); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if u.Description() != "50% done" || u.Conditions[0].Param != "/etc/100%" || len(u.Timer.Timers) != 2 {
		t.Errorf("%s %v %v", u.Description(), u.Conditions, u.Timer)
	}
}

// FuzzLoad: no text makes loading panic, and what is loaded can be shown.
func FuzzLoad(f *testing.F) {
	for _, r := range Rows() {
		if r.In&InService != 0 {
			f.Add("a.service", "[Service]\nExecStart=/bin/true\n"+r.Name+"="+r.Example+"\n")
		}
	}
	f.Add("a@b.socket", "[Socket]\nListenStream=80\n")
	f.Fuzz(func(t *testing.T, name, text string) {
		if !ValidName(name, NamePlain|NameInstance) {
			return
		}
		u, _ := Load(testHost(), nil, &Source{Name: name, Fragment: &File{Path: "/" + name, Text: text}})
		for _, p := range Properties(u.Type) {
			if p.Sig == "" {
				continue
			}
			w := newTree()
			p.Write(w, u)
			if w.signature() != p.Sig {
				t.Fatalf("%s writes %s", p.Name, w.signature())
			}
		}
		u.UnsupportedExec()
	})
}
