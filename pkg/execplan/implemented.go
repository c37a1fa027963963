package execplan

import (
	"fmt"

	"github.com/muster-init/muster/pkg/unit"
)

func unsupported(setting string) error {
	return fmt.Errorf("%s=: %w", setting, ErrUnsupported)
}

// missing lists the directives of systemd.exec(5) that have no implementation
// here, with what tells that a unit asks for one.
var missing = []struct {
	name string
	set  func(e *unit.Exec, s *unit.Sandbox) bool
}{
	{"RuntimeDirectoryQuota", func(e *unit.Exec, _ *unit.Sandbox) bool { return e.RuntimeDirectory.Quota.Set }},
}

// managedUsers refuses PrivateUsers=managed: only systemd-nsresourced may hand out such a range, and with another map the service would run with
// less isolation than it asks for.
func managedUsers(s *unit.Sandbox) error {
	if s.PrivateUsers != "managed" {
		return nil
	}
	return fmt.Errorf("PrivateUsers=managed: a range of users from systemd-nsresourced (io.systemd.NamespaceResource.AllocateUserRange): %w", ErrUnsupported)
}

func isOn(s string) bool { return s != "" && s != "no" }

// Implemented says whether the exec directive name has an effect. For names
// of other sections it knows nothing and says true.
func Implemented(name string) bool {
	for _, m := range missing {
		if m.name == name {
			return false
		}
	}
	return true
}

// Missing lists the directives that make Build fail.
func Missing() []string {
	names := make([]string, len(missing))
	for i, m := range missing {
		names[i] = m.name
	}
	return names
}

func (b *builder) checkImplemented() error {
	for _, m := range missing {
		if m.set(b.e, b.s) {
			return unsupported(m.name)
		}
	}
	return managedUsers(b.s)
}
