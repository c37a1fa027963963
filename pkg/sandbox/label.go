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
	selinux, err := exists(root + "/sys/fs/selinux/enforce")
	if err != nil && l.SELinux.Name != "" {
		return failed(plan.ExitSELinux, "SELinuxContext", l.SELinux.Name, err)
	}
	smack, err := exists(root + "/sys/fs/smackfs/load2")
	if err != nil && l.Smack.Name != "" {
		return failed(plan.ExitSmackLabel, "SmackProcessLabel", l.Smack.Name, err)
	}
	armor, err := appArmor(root)
	if err != nil && l.AppArmor.Name != "" {
		return failed(plan.ExitAppArmor, "AppArmorProfile", l.AppArmor.Name, err)
	}
	for _, m := range []struct {
		setting string
		status  uint8
		label   plan.Label
		active  bool
		text    string
		files   []string // the first that is there
	}{
		{"SELinuxContext", plan.ExitSELinux, l.SELinux, selinux, l.SELinux.Name, []string{"exec"}},
		{"AppArmorProfile", plan.ExitAppArmor, l.AppArmor, armor, "exec " + l.AppArmor.Name, []string{"apparmor/exec", "exec"}},
		{"SmackProcessLabel", plan.ExitSmackLabel, l.Smack, smack, l.Smack.Name, []string{"smack/current", "current"}},
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

func appArmor(root string) (bool, error) {
	const room = 16
	text, err := readFile(root+"/sys/module/apparmor/parameters/enabled", room)
	if err == unix.ENOENT || err == unix.ENOTDIR {
		return false, nil
	}
	return len(text) > 0 && text[0] == 'Y', err
}
