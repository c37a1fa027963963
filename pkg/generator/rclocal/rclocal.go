// Package rclocal starts /etc/rc.local where there is one, as systemd-rc-local-generator(8) describes.
package rclocal

import "github.com/muster-init/muster/pkg/generator/output"

// Input is all that the result depends on.
type Input struct{ Exists, Executable bool }

// Generate pulls in rc-local.service.
func Generate(in Input) *output.Tree {
	t := &output.Tree{}
	switch {
	case !in.Exists:
	case !in.Executable:
		t.Warn("/etc/rc.local is not executable, ignored")
	default:
		if err := t.PullShipped(output.Normal, "multi-user.target", "wants", "rc-local.service"); err != nil {
			t.Fail("%v", err)
		}
	}
	return t
}
