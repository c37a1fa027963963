package sandbox

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/muster-init/muster/pkg/execplan/plan"
)

// TestLabels: each active security module is told, by its own file.
func TestLabels(t *testing.T) {
	const attr = "proc/thread-self/attr/"
	for _, c := range []struct {
		name, marker, content string
		file, want            string
		labels                plan.Labels
		status                uint8
		setting               string
	}{
		{"SELinux", "sys/fs/selinux/enforce", "1", attr + "exec", "u:r:t:s0", plan.Labels{SELinux: plan.Label{Name: "u:r:t:s0"}}, plan.ExitSELinux, "SELinuxContext"},
		{"AppArmor", "sys/module/apparmor/parameters/enabled", "Y\n", attr + "apparmor/exec", "exec web", plan.Labels{AppArmor: plan.Label{Name: "web"}}, plan.ExitAppArmor, "AppArmorProfile"},
		{"AppArmor, older kernel", "sys/module/apparmor/parameters/enabled", "Y\n", attr + "exec", "exec web", plan.Labels{AppArmor: plan.Label{Name: "web"}}, plan.ExitAppArmor, "AppArmorProfile"},
		{"Smack", "sys/fs/smackfs/load2", "", attr + "smack/current", "web", plan.Labels{Smack: plan.Label{Name: "web"}}, plan.ExitSmackLabel, "SmackProcessLabel"},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			write := func(name, text string) {
				if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			// Without the module the label is nothing.
			if f := applyLabels(root, c.labels); f != nil {
				t.Fatalf("no module: %v", f)
			}
			write(c.marker, c.content)
			f := applyLabels(root, c.labels)
			if f == nil || f.Status != c.status || f.Setting != c.setting {
				t.Fatalf("a label that can't be set: %+v, want status %d", f, c.status)
			}
			optional := c.labels
			for _, l := range []*plan.Label{&optional.SELinux, &optional.AppArmor, &optional.Smack} {
				l.Optional = true
			}
			if f := applyLabels(root, optional); f != nil {
				t.Fatalf("with -: %v", f)
			}
			write(c.file, "")
			if f := applyLabels(root, c.labels); f != nil {
				t.Fatal(f)
			}
			if got, err := os.ReadFile(filepath.Join(root, c.file)); err != nil || string(got) != c.want {
				t.Errorf("wrote %q, %v, want %q", got, err, c.want)
			}
		})
	}
}
