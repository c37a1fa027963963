package loader

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-init/muster/pkg/unit"
)

// tree makes files below a directory: "path": "content", a content of "-> x" is a link to x.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		write(t, filepath.Join(root, name), content)
	}
	return root
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	var err error
	if target, ok := cutArrow(content); ok {
		_ = os.Remove(path)
		err = os.Symlink(target, path)
	} else {
		err = os.WriteFile(path, []byte(content), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func cutArrow(s string) (string, bool) {
	if len(s) > 3 && s[:3] == "-> " {
		return s[3:], true
	}
	return "", false
}

func open(t *testing.T, root string) *Loader {
	t.Helper()
	path := []string{root + "/etc", root + "/run", root + "/usr", root + "/missing"}
	time.Sleep(2 * freshNSec) // so that what was just written doesn't count as fresh
	return New(path, Scan(path), &unit.Host{}, unit.BuiltinDefaults(), func(unit.Message) {})
}

const service = "[Service]\nExecStart=/bin/true\n"

func TestResolve(t *testing.T) {
	root := tree(t, map[string]string{
		"usr/a.service": service, "etc/a.service": service, "etc/alias.service": "-> ../usr/b.service", "usr/b.service": service,
		"etc/masked.service": "-> /dev/null", "usr/masked.service": service, "run/empty.service": "",
		"usr/t@.service": service, "etc/t@special.service": service, "etc/u@.service": "-> ../usr/t@.service",
		"etc/one.service": "-> t@one.service", "usr/loop1.service": "-> loop2.service", "usr/loop2.service": "-> loop1.service",
		"outside/linked.service": service, "etc/linked.service": "-> ../outside/linked.service",
	})
	l := open(t, root)
	for _, c := range []struct {
		name, canonical, fragment string
		names                     []string
		state                     unit.LoadState
	}{
		{"a.service", "a.service", "etc/a.service", []string{"a.service"}, unit.StateLoaded},
		{"alias.service", "b.service", "usr/b.service", []string{"alias.service", "b.service"}, unit.StateLoaded},
		{"b.service", "b.service", "usr/b.service", []string{"alias.service", "b.service"}, unit.StateLoaded},
		{"masked.service", "masked.service", "etc/masked.service", []string{"masked.service"}, unit.StateMasked},
		{"empty.service", "empty.service", "run/empty.service", []string{"empty.service"}, unit.StateMasked},
		{"t@x.service", "t@x.service", "usr/t@.service", []string{"t@x.service", "u@x.service"}, unit.StateLoaded},
		{"u@x.service", "t@x.service", "usr/t@.service", []string{"t@x.service", "u@x.service"}, unit.StateLoaded},
		{"t@special.service", "t@special.service", "etc/t@special.service", []string{"t@special.service", "u@special.service"}, unit.StateLoaded},
		{"one.service", "one.service", "", []string{"one.service"}, unit.StateNotFound}, // a plain name can't stand for an instance
		{"linked.service", "linked.service", "etc/linked.service", []string{"linked.service"}, unit.StateLoaded},
		{"none.service", "none.service", "", []string{"none.service"}, unit.StateNotFound},
		{"x-y.slice", "x-y.slice", "", []string{"x-y.slice"}, unit.StateLoaded},
		{"loop1.service", "loop1.service", "", []string{"loop1.service"}, unit.StateError},
	} {
		u := l.Load(c.name)
		fragment := c.fragment
		if fragment != "" {
			fragment = filepath.Join(root, fragment)
		}
		if u.Name != c.canonical || u.FragmentPath != fragment || u.LoadState != c.state {
			t.Errorf("%s: %s %s %s, want %s %s %s", c.name, u.Name, u.FragmentPath, u.LoadState, c.canonical, fragment, c.state)
		}
		if diff := cmp.Diff(c.names, u.Names); diff != "" {
			t.Errorf("%s: names: %s", c.name, diff)
		}
	}
}

func TestDropInOrder(t *testing.T) {
	root := tree(t, map[string]string{
		"usr/foo-bar.service": service, "usr/t@.service": service,
		"usr/foo-bar.service.d/50-a.conf": "[Unit]\nDescription=usr\n", "etc/service.d/50-a.conf": "[Unit]\nDescription=type\n",
		"etc/foo-.service.d/20-b.conf": "[Unit]\nDescription=prefix\n", "run/foo-bar.service.d/50-a.conf": "[Unit]\nDescription=run\n",
		"usr/service.d/10-z.conf": "[Unit]\nDescription=first\n", "etc/foo-bar.service.d/60-off.conf": "-> /dev/null",
		"usr/foo-bar.service.d/60-off.conf": "[Unit]\nDescription=masked\n", "etc/foo-bar.service.d/notes.txt": "x",
		"etc/t@.service.d/a.conf": "[Unit]\nDescription=template\n", "etc/t@i.service.d/a.conf": "[Unit]\nDescription=instance\n",
	})
	l := open(t, root)
	rel := func(paths []string) (out []string) {
		for _, p := range paths {
			r, _ := filepath.Rel(root, p)
			out = append(out, r)
		}
		return out
	}
	want := []string{"usr/service.d/10-z.conf", "etc/foo-.service.d/20-b.conf", "run/foo-bar.service.d/50-a.conf", "etc/foo-bar.service.d/60-off.conf"}
	if diff := cmp.Diff(want, rel(l.Load("foo-bar.service").DropInPaths)); diff != "" {
		t.Error(diff)
	}
	if d := l.Load("foo-bar.service").Description(); d != "run" {
		t.Errorf("the masked drop-in has an effect: %s", d)
	}
	want = []string{"usr/service.d/10-z.conf", "etc/service.d/50-a.conf", "etc/t@i.service.d/a.conf"}
	if diff := cmp.Diff(want, rel(l.Load("t@i.service").DropInPaths)); diff != "" {
		t.Error(diff)
	}
}

func TestLinks(t *testing.T) {
	root := tree(t, map[string]string{
		"usr/m.target": "[Unit]\n", "usr/a.service": service, "usr/b.service": service,
		"etc/m.target.wants/a.service": "-> /usr/a.service", "usr/m.target.requires/b.service": "-> ../b.service",
		"usr/m.target.wants/gone.service": "-> ../gone.service", "etc/m.target.wants/gone.service": "-> /dev/null",
	})
	var got []string
	for _, d := range open(t, root).Load("m.target").Deps {
		got = append(got, d.Type.String()+"="+d.Name)
	}
	if diff := cmp.Diff([]string{"Wants=a.service", "Requires=b.service"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestChanges(t *testing.T) {
	root := tree(t, map[string]string{"usr/a.service": service, "usr/b.service": service, "usr/t@.service": service, "usr/m.target": "[Unit]\n", "etc/keep": "x"})
	l := open(t, root)
	affected := func() (out []string) {
		time.Sleep(2 * freshNSec)
		now := Scan(l.Path())
		c := Compare(l.Index(), now)
		for _, name := range []string{"a.service", "b.service", "t@1.service", "m.target"} {
			if c.Affects([]string{name}) {
				out = append(out, name)
			}
		}
		l.Use(now)
		return out
	}
	check := func(what string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, affected()); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	check("nothing")
	write(t, root+"/usr/a.service", service+"# changed\n")
	check("content", "a.service")
	write(t, root+"/etc/b.service.d/x.conf", "[Unit]\n")
	check("drop-in", "b.service")
	write(t, root+"/etc/service.d/y.conf", "[Unit]\n")
	check("type drop-in", "a.service", "b.service", "t@1.service")
	write(t, root+"/usr/t@.service", service+"#\n")
	check("template", "t@1.service")
	write(t, root+"/etc/m.target.wants/a.service", "-> /x")
	check("link", "m.target")
	write(t, root+"/etc/a.service", "-> /dev/null")
	check("mask", "a.service")
	if err := os.Remove(root + "/etc/a.service"); err != nil {
		t.Fatal(err)
	}
	check("unmask", "a.service")
}

func TestNeedReload(t *testing.T) {
	root := tree(t, map[string]string{"usr/a.service": service, "usr/b.service": service, "etc/keep": "x"})
	l := open(t, root)
	a, b := l.Load("a.service"), l.Load("b.service")
	if l.NeedReload(a) || l.NeedReload(b) {
		t.Fatal("nothing changed yet")
	}
	write(t, root+"/usr/a.service", service+"#changed\n")
	write(t, root+"/etc/b.service.d/x.conf", "[Unit]\n")
	if !l.NeedReload(a) || !l.NeedReload(b) {
		t.Fatal("a change was not noticed")
	}
}

func TestUnreadable(t *testing.T) {
	root := tree(t, map[string]string{"etc/keep": "x"})
	if err := os.MkdirAll(root+"/usr", 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, root+"/usr/dangling.service", "-> nowhere.service")
	if u := open(t, root).Load("dangling.service"); u.LoadState == unit.StateLoaded || u.LoadError == nil {
		t.Fatalf("%s: %v", u.LoadState, u.LoadError)
	}
}
