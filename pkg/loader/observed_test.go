package loader

import (
	"os"
	"sort"
	"strings"
	"syscall"
	"testing"

	"github.com/muster-init/muster/pkg/unit"
)

// TestObserved has what systemd 257 made of the same files in a container.
func TestObserved(t *testing.T) {
	root := tree(t, map[string]string{
		"opt/linked.service": service, "etc/linked.service": "-> ../opt/linked.service", "etc/otherlinked.service": "-> ../opt/linked.service",
		"usr/cron.service": service, "etc/cron.service": "-> ../usr/cron.service", "etc/dang.service": "-> ../usr/nonexist.service",
		"etc/gone.service": "-> ../opt/gone.service", "etc/m.service": "-> /dev/null", "etc/e.service": "", "etc/a.service": service,
		"etc/a.service.d/z.conf": "-> /dev/null", "etc/a.service.d/y.conf": "", "run/a.service.d/z.conf": "[Unit]\nDescription=z\n",
		"etc/foo-bar@.service": service, "etc/foo-bar.service": service,
		"etc/foo-bar@i.service.d/q.conf": "[Unit]\nDescription=foo-bar@i\n", "etc/foo-bar@.service.d/q.conf": "[Unit]\nDescription=foo-bar@\n",
		"etc/foo-@i.service.d/q.conf": "[Unit]\nDescription=foo-@i\n", "etc/foo-@.service.d/q.conf": "[Unit]\nDescription=foo-@\n",
		"etc/foo-.service.wants/a1.service": "-> ../a.service", "etc/service.wants/a2.service": "-> ../a.service",
		"etc/foo-bar.service.wants/a3.service": "-> ../a.service", "etc/foo-bar.service.wants/a4.service": service,
		"etc/foo-bar.service.wants/t@.service": "-> ../t@.service", "etc/foo-bar.service.wants/a5.service": "-> /dev/null",
		"run/foo-bar.service.wants/a5.service": "-> ../a.service", "etc/dirunit.service/x": "", "etc/al@.service": "-> foo-bar@.service",
		"etc/alinst.service": "-> foo-bar@inst.service", "etc/plain2tpl.service": "-> foo-bar@.service", "etc/al@x.service": "-> foo-bar@.service",
		"etc/foo-bar@x.service": "-> foo-bar@y.service", "etc/bb.service": "-> a.service", "etc/cc.service": "-> bb.service",
		"etc/hdr.service": "[Unit\nDescription=x\n", "etc/a--b.slice": "[Unit]\nDescription=x\n",
	})
	if err := syscall.Mkfifo(root+"/etc/fifo.service", 0o644); err != nil {
		t.Fatal(err)
	}
	l := open(t, root)
	for _, c := range []struct{ name, id, names, state, fragment, description, wants string }{
		{"linked.service", "linked.service", "linked.service", "loaded", "etc/linked.service", "linked.service", "a2.service"},
		{"otherlinked.service", "otherlinked.service", "otherlinked.service", "loaded", "etc/otherlinked.service", "otherlinked.service", "a2.service"},
		{"cron.service", "cron.service", "cron.service", "loaded", "usr/cron.service", "cron.service", "a2.service"},
		{"dang.service", "dang.service", "dang.service", "not-found", "", "dang.service", ""},
		{"gone.service", "gone.service", "gone.service", "not-found", "", "gone.service", ""},
		{"m.service", "m.service", "m.service", "masked", "etc/m.service", "m.service", ""},
		{"e.service", "e.service", "e.service", "masked", "etc/e.service", "e.service", ""},
		{"cc.service", "a.service", "a.service bb.service cc.service", "loaded", "etc/a.service", "a.service", "a2.service"},
		{"foo-bar@i.service", "foo-bar@i.service", "al@i.service foo-bar@i.service", "loaded", "etc/foo-bar@.service", "foo-bar@i", "a1.service a2.service"},
		{"foo-bar.service", "foo-bar.service", "foo-bar.service", "loaded", "etc/foo-bar.service", "foo-bar.service",
			"a1.service a2.service a3.service t@foo-bar.service"},
		{"hdr.service", "hdr.service", "hdr.service", "error", "etc/hdr.service", "hdr.service", ""},
		{"dirunit.service", "dirunit.service", "dirunit.service", "not-found", "", "dirunit.service", ""},
		{"fifo.service", "fifo.service", "fifo.service", "not-found", "", "fifo.service", ""},
		{"al@z.service", "foo-bar@z.service", "al@z.service foo-bar@z.service", "loaded", "etc/foo-bar@.service", "foo-bar@", "a1.service a2.service"},
		{"alinst.service", "alinst.service", "alinst.service", "not-found", "", "alinst.service", ""},
		{"plain2tpl.service", "plain2tpl.service", "plain2tpl.service", "not-found", "", "plain2tpl.service", ""},
		{"al@x.service", "foo-bar@x.service", "al@x.service foo-bar@x.service", "loaded", "etc/foo-bar@.service", "foo-bar@", "a1.service a2.service"},
		{"a--b.slice", "a--b.slice", "a--b.slice", "error", "etc/a--b.slice", "x", ""},
		{"none.slice", "none.slice", "none.slice", "loaded", "", "Slice /none", ""},
		{"none.device", "none.device", "none.device", "loaded", "", "none.device", ""},
		{"none.mount", "none.mount", "none.mount", "not-found", "", "none.mount", ""},
	} {
		u := l.Load(c.name)
		var wants []string
		for _, d := range u.Deps {
			if d.Type == unit.DepWants && u.LoadState == unit.StateLoaded {
				wants = append(wants, d.Name)
			}
		}
		sort.Strings(wants)
		got := []string{u.Name, strings.Join(u.Names, " "), string(u.LoadState), strings.TrimPrefix(u.FragmentPath, root+"/"), u.Description(), strings.Join(wants, " ")}
		want := []string{c.id, c.names, c.state, c.fragment, c.description, c.wants}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("%s: got %q, want %q", c.name, got, want)
				break
			}
		}
	}
	if problems := strings.Join(l.Index().Problems(), "\n"); strings.Count(problems, "\n") != 3 || !strings.Contains(problems, "a4.service: is not a symlink") {
		t.Errorf("problems:\n%s", problems)
	}
}

func TestSearchPaths(t *testing.T) {
	env := map[string]string{"HOME": "/home/u", "XDG_RUNTIME_DIR": "/run/user/1000"}
	path := UserPath(func(name string) string { return env[name] })
	want := "/home/u/.config/systemd/user.control /run/user/1000/systemd/user.control /run/user/1000/systemd/transient " +
		"/run/user/1000/systemd/generator.early /home/u/.config/systemd/user /home/u/.config/systemd/user.attached /etc/xdg/systemd/user " +
		"/etc/systemd/user /run/user/1000/systemd/user /run/user/1000/systemd/user.attached /run/systemd/user /run/user/1000/systemd/generator " +
		"/home/u/.local/share/systemd/user /usr/local/share/systemd/user /usr/share/systemd/user /usr/local/lib/systemd/user " +
		"/usr/lib/systemd/user /run/user/1000/systemd/generator.late " + MusterUserUnits
	if got := strings.Join(path, " "); got != want {
		t.Errorf("user path:\n got %s\nwant %s", got, want)
	}
	env["SYSTEMD_UNIT_PATH"] = "/x:/y:"
	if got := UserPath(func(name string) string { return env[name] }); got[0] != "/x" || got[1] != "/y" || len(got) != len(path)+2 {
		t.Errorf("with SYSTEMD_UNIT_PATH: %q", got)
	}
	env["SYSTEMD_UNIT_PATH"] = "/x"
	if got := UserPath(func(name string) string { return env[name] }); len(got) != 1 {
		t.Errorf("with SYSTEMD_UNIT_PATH alone: %q", got)
	}
	if err := os.Setenv("SYSTEMD_UNIT_PATH", ""); err != nil {
		t.Fatal(err)
	}
	if got := SystemPath(); got[0] != "/etc/systemd/system.control" || got[4] != "/etc/systemd/system" {
		t.Errorf("system path: %q", got)
	}
}

// TestDashPrefixes: which drop-in directories an instance has, and which of
// them come first, as systemd 257 was seen to have them.
func TestDashPrefixes(t *testing.T) {
	got := strings.Join(ownersOf([]string{"foo-bar-baz@i.service"}), " ")
	want := "foo-bar-baz@i.service foo-bar-baz@.service foo-bar-.service foo-.service foo-bar-@i.service foo-bar-@.service foo-@i.service foo-@.service service"
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
