package sandbox_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/muster-init/muster/pkg/unit"
)

// stackDir is a directory on a file system that an overlay can write to.
func stackDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", own("stack"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// tree makes files below dir: name → text, a name that ends in / is a directory, a text that begins with → a link.
func tree(t *testing.T, dir string, files map[string]string) string {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		target, link := strings.CutPrefix(text, "→")
		switch {
		case err != nil:
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(path, 0o755)
		case link:
			err = os.Symlink(target, path)
		default:
			err = os.WriteFile(path, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestRootMStack: systemd.mstack(7). The lowest layer is the machine's own root, for its programs.
func TestRootMStack(t *testing.T) {
	layers := map[string]string{
		"layer@0": "→/", "layer@9/etc/who": "nine", "layer@9/srv/nine": "", "layer@10/etc/who": "ten", "elsewhere/file": "bound",
	}
	with := func(more map[string]string) map[string]string {
		all := map[string]string{}
		for name, text := range layers {
			all[name] = text
		}
		for name, text := range more {
			all[name] = text
		}
		return all
	}
	for _, c := range []struct {
		name, script, want string
		files              map[string]string
		left               map[string]string // files of the stack afterwards
		set                func(e *unit.Exec, b *unit.Sandbox)
	}{
		{"layers in the order of versions", `cat /etc/who; ls /srv | grep nine; touch /etc/x 2>/dev/null || echo refused; ls /run/systemd/unit-layers 2>/dev/null; true`,
			"ten" + "nine\nrefused", layers, nil, nil},
		{"a layer to write to", `cat /etc/who; echo written >/etc/who; rm /srv/nine; cat /etc/who; ls /srv | grep -c nine; true`, "tenwritten\n0",
			with(map[string]string{"rw/": ""}), map[string]string{"rw/data/etc/who": "written\n", "layer@10/etc/who": "ten"}, nil},
		{"written before", `cat /etc/who`, "before", with(map[string]string{"rw/data/etc/who": "before"}), nil, nil},
		{"binds", `cat /mnt/a-b/file /opt/x/file; echo x 2>/dev/null >/opt/x/file || echo refused; echo changed >/mnt/a-b/file`, "boundboundrefused",
			with(map[string]string{"rw/": "", `bind@mnt-a\x2db`: "→elsewhere", "robind@opt-x/file": "bound"}), map[string]string{"elsewhere/file": "changed\n"}, nil},
		{"one layer alone can't be written to", `touch /var/tmp/x 2>/dev/null || echo refused; ls /usr/bin/env`, "refused\n/usr/bin/env", map[string]string{"layer@0": "→/"}, nil, nil},
		{"a root with the /usr of layers", `cat /etc/own; cat /usr/lib/who; touch /usr/x 2>/dev/null || echo refused; echo new >/etc/new; ls /srv`, "own" + "layer" + "refused",
			map[string]string{"layer@0": "→/", "layer@1/usr/lib/who": "layer", "layer@1/etc/own": "hidden", "root/etc/own": "own", "root/srv/": "", "root/tmp/": "",
				"root/bin": "→usr/bin", "root/lib": "→usr/lib", "root/lib64": "→usr/lib64"}, map[string]string{"root/etc/new": "new\n"}, nil},
		{"a copy that is thrown away", `cat /etc/who; echo gone >/etc/who`, "before", with(map[string]string{"rw/data/etc/who": "before"}), map[string]string{"rw/data/etc/who": "before"},
			func(_ *unit.Exec, b *unit.Sandbox) { b.RootEphemeral = true }},
		{"beside other settings", `cat /etc/who; touch /var/x 2>/dev/null || echo refused; touch /tmp/x && echo own; stat -f -c %T /proc`, "ten" + "refused\nown\nproc",
			with(map[string]string{"rw/": ""}), nil, func(e *unit.Exec, b *unit.Sandbox) { b.ProtectSystem, b.PrivateTmp = "strict", "disconnected" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := tree(t, filepath.Join(stackDir(t), "root.mstack"), c.files)
			s := confined(t, c.script, func(s *start, b *unit.Sandbox) {
				b.RootMStack = dir
				if c.set != nil {
					c.set(s.exec, b)
				}
			})
			if c.set != nil {
				s.ctx.InvocationID[0] = 1
			}
			expect(t, s.ok(), c.want)
			for name, want := range c.left {
				if text, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(text) != want {
					t.Errorf("%s: %q, %v, want %q", name, text, err, want)
				}
			}
		})
	}
}

// TestRootMStackRefused: what can't be stacked isn't started, and says which name of the stack is to blame.
func TestRootMStackRefused(t *testing.T) {
	for _, c := range []struct {
		files map[string]string
		want  string
	}{
		{map[string]string{"something/": ""}, "no layer"},
		{map[string]string{"layer@0": "→/nonexistent"}, "layer@0"},
		{map[string]string{"layer@0": "a file"}, "layer@0"},
		{map[string]string{"layer@0.raw/": ""}, "layer@0.raw"},
		{map[string]string{"layer@0.raw": "no image"}, "layer@0.raw"},
		{map[string]string{"layer@/": ""}, "layer@"},
		{map[string]string{"layer@0": "→/", "bind@a..b/": "", `bind@a-..-b/`: ""}, "bind@a-..-b"},
		{map[string]string{"layer@0": "→/", `bind@a\x2/`: ""}, `bind@a\x2`},
		{map[string]string{"layer@0": "→/", "rw": "a file"}, "rw"},
		{map[string]string{"layer@0": "→/", "bind@nonexistent-place/": ""}, "/nonexistent/place"}, // nowhere to mount, and nothing can be written
	} {
		dir := tree(t, filepath.Join(stackDir(t), "root.mstack"), c.files)
		s := confined(t, `echo ran`, func(_ *start, b *unit.Sandbox) { b.RootMStack = dir })
		setting := "RootMStack"
		if strings.HasSuffix(c.want, "place") {
			setting = "BindPaths"
		}
		if s.fails(226, setting); s.failure != nil && !strings.Contains(s.failure.Path+": "+s.failure.Message, c.want) {
			t.Errorf("%v: %s: %s", c.files, s.failure.Path, s.failure.Message)
		}
	}
}
