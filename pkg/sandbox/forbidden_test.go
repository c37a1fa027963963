package sandbox_test

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/kernel"
	"github.com/muster-init/muster/pkg/unit"
)

// TestForbiddenNamespaces is a manager in a container that may not make
// namespaces. With DegradedPolicy=warn it runs, like systemd, what only loses
// protection, and says so; it does not run what would see other files. By
// default it runs neither.
func TestForbiddenNamespaces(t *testing.T) {
	newStart(t, "true") // reads the image while this thread still may
	done := make(chan struct{})
	go func() {
		defer close(done)
		// The thread is not used by anybody else afterwards: it ends here.
		runtime.LockOSThread()
		if err := kernel.DropBoundingCapability(unix.CAP_SYS_ADMIN); err != nil {
			t.Error(err)
			return
		}
		s := confined(t, `echo runs`, func(_ *start, b *unit.Sandbox) {
			b.ProtectSystem, b.PrivateNetwork, b.ProtectHostname, b.PrivateIPC = "strict", true, "yes", true
		})
		s.ctx.WarnDegraded = true
		if out := s.run(); s.failure != nil || out != "runs\n" {
			t.Errorf("output %q, failure %v", out, s.failure)
		}
		var settings []string
		for _, n := range s.notices {
			settings = append(settings, n.Setting)
		}
		if len(settings) != 4 || settings[0] != "PrivateNetwork" || settings[2] != "mount namespace" {
			t.Errorf("notices about %q", settings)
		}
		s = confined(t, `echo runs`, func(_ *start, b *unit.Sandbox) {
			b.BindPaths = []unit.BindPath{{Source: "/usr", Destination: "/srv", Recursive: true}}
		})
		s.ctx.WarnDegraded = true
		s.fails(plan.ExitNamespace, "mount namespace")
		s = confined(t, `echo runs`, func(_ *start, b *unit.Sandbox) { b.ProtectSystem = "strict" })
		s.fails(plan.ExitNamespace, "mount namespace")
		if s.failure == nil || s.failure.Path != "ProtectSystem=" {
			t.Errorf("the failure doesn't name the setting: %v", s.failure)
		}
	}()
	<-done
}
