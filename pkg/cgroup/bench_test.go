package cgroup

import (
	"fmt"
	"testing"

	"github.com/muster-init/muster/pkg/kernel"
)

func BenchmarkRealizeRelease(b *testing.B) {
	tree := newTree(b)
	realize(b, tree, "system.slice", 0)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tree.Realize("system.slice/x.service", 0); err != nil {
			b.Fatal(err)
		}
		if err := tree.Release("system.slice/x.service"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRealizeAmong shows that the cost doesn't grow with the siblings.
func BenchmarkRealizeAmong(b *testing.B) {
	for _, n := range []int{10, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			tree := newTree(b)
			for i := range n {
				realize(b, tree, fmt.Sprintf("system.slice/u%d.service", i), tree.Status().Controllers)
			}
			for b.Loop() {
				realize(b, tree, "system.slice/x.service", tree.Status().Controllers)
				if err := tree.Release("system.slice/x.service"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkSpawnNewCgroup is a whole start and end: realize, clone into the
// group, wait, release.
func BenchmarkSpawnNewCgroup(b *testing.B) {
	tree := newTree(b)
	var l kernel.OpList
	l.Setsid(220)
	l.Umask(0o22)
	l.CloexecFrom(202, 3)
	l.Exec(203, "/bin/true", []string{"true"}, []string{"PATH=/usr/bin"}, "SYSTEMD_EXEC_PID")
	b.ReportAllocs()
	var blocked uint64
	for b.Loop() {
		start := kernel.ClockUSec(1)
		realize(b, tree, "system.slice/x.service", 0)
		fd, err := tree.DirFD("system.slice/x.service")
		if err != nil {
			b.Fatal(err)
		}
		c, err := kernel.Spawn(&l, kernel.SpawnOptions{CgroupFD: fd})
		blocked += kernel.ClockUSec(1) - start
		if err != nil {
			b.Fatal(err)
		}
		end(b, c)
		start = kernel.ClockUSec(1)
		if err := tree.Release("system.slice/x.service"); err != nil {
			b.Fatal(err)
		}
		blocked += kernel.ClockUSec(1) - start
	}
	b.ReportMetric(float64(blocked)/float64(b.N), "blocked-µs/op")
}
