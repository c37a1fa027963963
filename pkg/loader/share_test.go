package loader

import (
	"testing"

	"github.com/muster-init/muster/pkg/unit"
)

func TestEqualBlocksAreShared(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/a.service", "[Service]\nExecStart=/bin/a\nStandardOutput=null\nNice=3\n")
	write(t, dir+"/b.service", "[Service]\nExecStart=/bin/b\nStandardOutput=null\nNice=3\n")
	write(t, dir+"/c.service", "[Service]\nExecStart=/bin/c\nStandardOutput=null\nNice=4\n")
	l := New([]string{dir}, Scan([]string{dir}), &unit.Host{Specifiers: &unit.SpecifierContext{}}, unit.BuiltinDefaults(), func(unit.Message) {})
	a, b, c := l.Load("a.service"), l.Load("b.service"), l.Load("c.service")
	if a.Exec == nil || a.Exec != b.Exec {
		t.Errorf("equal settings have two blocks: %p, %p", a.Exec, b.Exec)
	}
	if a.Service == b.Service || a.Service.ServiceSettings != b.Service.ServiceSettings || a.Service.ExecStart[0].Path != "/bin/a" {
		t.Error("equal settings of services have two blocks, or different commands one")
	}
	if c.Exec == a.Exec || c.Exec.Nice.Value != 4 || a.Exec.Nice.Value != 3 {
		t.Errorf("different settings share a block: %v, %v", a.Exec.Nice, c.Exec.Nice)
	}
}
