package execplan

import (
	"testing"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

func BenchmarkBuild(b *testing.B) {
	u := unit.New("bench.service", nil)
	ctx := testContext()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Build(u, ctx); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	u := unit.New("bench.service", nil)
	p, err := Build(u, testContext())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		plan.Encode(p)
	}
}

func testContext() Context {
	return Context{
		Phase:        "ExecStart",
		Command:      value.Command{Path: "/usr/bin/true", Argv: []string{"/usr/bin/true", "arg"}},
		ManagerEnv:   []string{"PATH=" + DefaultPath, "LANG=C.UTF-8"},
		InvocationID: [16]byte{1, 2, 3},
		Journal:      true,
		CgroupDir:    "/sys/fs/cgroup/system.slice/bench.service",
	}
}
