package loader

import (
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/muster-init/muster/pkg/unit"
)

// manyUnits writes n trivial services as the benchmark of whole boots does.
func manyUnits(tb testing.TB, n int) string {
	tb.Helper()
	root := tb.TempDir()
	for i := range n {
		text := fmt.Sprintf("[Unit]\nDescription=Unit number %d\nAfter=network.target\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true %d\n"+
			"[Install]\nWantedBy=multi-user.target\n", i, i)
		if err := os.WriteFile(fmt.Sprintf("%s/u%d.service", root, i), []byte(text), 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	return root
}

// BenchmarkLoad loads 10,000 units and says what each costs in live heap.
func BenchmarkLoad(b *testing.B) {
	const n = 10000
	root := manyUnits(b, n)
	index := Scan([]string{root})
	units := make([]*unit.Unit, n)
	var before, after runtime.MemStats
	for b.Loop() {
		clear(units)
		runtime.GC()
		runtime.ReadMemStats(&before)
		l := New([]string{root}, index, &unit.Host{}, nil, func(unit.Message) {})
		for i := range units {
			units[i] = l.Load(fmt.Sprintf("u%d.service", i))
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if units[n-1].LoadState != unit.StateLoaded {
			b.Fatal(units[n-1].LoadError)
		}
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "bytes/unit")
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/n, "µs/unit")
	runtime.KeepAlive(units)
}

// BenchmarkRescan lists the directories again with one file changed.
func BenchmarkRescan(b *testing.B) {
	const n = 10000
	root := manyUnits(b, n)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	old := Scan([]string{root})
	runtime.GC()
	runtime.ReadMemStats(&after)
	for b.Loop() {
		Compare(old, Scan([]string{root}))
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "bytes/file")
	runtime.KeepAlive(old)
}
