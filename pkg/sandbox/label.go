package sandbox

import (
	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
)

// labels tells the security modules that are there what the program is to be.
func labels(r *run) *plan.Failure { return applyLabels("", r.p.Labels) }

// applyLabels does so below root, which is "" outside of tests. A module that
// isn't there is passed over, as is a label with "-" that it doesn't take.
func applyLabels(root string, l plan.Labels) *plan.Failure {
	const attr = "/proc/thread-self/attr/"
	for _, m := range []struct {
		setting string
		status  uint8
		label   plan.Label
		active  bool
		text    string
		files   []string // the first that is there
	}{
		{"SELinuxContext", plan.ExitSELinux, l.SELinux, exists(root + "/sys/fs/selinux/enforce"), l.SELinux.Name, []string{"exec"}},
		{"AppArmorProfile", plan.ExitAppArmor, l.AppArmor, appArmor(root), "exec " + l.AppArmor.Name, []string{"apparmor/exec", "exec"}},
		{"SmackProcessLabel", plan.ExitSmackLabel, l.Smack, exists(root + "/sys/fs/smackfs/load2"), l.Smack.Name, []string{"smack/current", "current"}},
	} {
		if m.label.Name == "" || !m.active {
			continue
		}
		err := error(unix.ENOENT)
		for _, file := range m.files {
			if err = writeFile(root+attr+file, m.text); err != unix.ENOENT {
				break
			}
		}
		if err != nil && !m.label.Optional {
			return failed(m.status, m.setting, m.label.Name, err)
		}
	}
	return nil
}

func appArmor(root string) bool {
	const room = 16
	text, err := readFile(root+"/sys/module/apparmor/parameters/enabled", room)
	return err == nil && len(text) > 0 && text[0] == 'Y'
}
