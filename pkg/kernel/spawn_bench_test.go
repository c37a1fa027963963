package kernel

import (
	"encoding/binary"
	"os"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// tinyProgram is the smallest image there is, so that the figures are about
// spawning: it exits at once. Elsewhere /bin/true stands in, with its dynamic
// loader.
func tinyProgram(b *testing.B) string {
	b.Helper()
	if runtime.GOARCH != "amd64" {
		return "/bin/true"
	}
	const base, head = 0x400000, 64 + 56
	code := []byte{0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05} // exit(0)
	le := binary.LittleEndian
	elf := []byte{0x7f, 'E', 'L', 'F', 2, 1, 1, 15: 0}
	elf = le.AppendUint16(elf, 2)  // ET_EXEC
	elf = le.AppendUint16(elf, 62) // EM_X86_64
	elf = le.AppendUint32(elf, 1)
	elf = le.AppendUint64(elf, base+head) // entry
	elf = le.AppendUint64(elf, 64)        // program headers
	elf = le.AppendUint64(elf, 0)
	elf = le.AppendUint32(elf, 0)
	for _, v := range []uint16{64, 56, 1, 0, 0, 0} {
		elf = le.AppendUint16(elf, v)
	}
	elf = le.AppendUint32(elf, 1) // PT_LOAD
	elf = le.AppendUint32(elf, 5) // readable, executable
	for _, v := range []uint64{0, base, base, head + 16, head + 16, 0x1000} {
		elf = le.AppendUint64(elf, v)
	}
	elf = append(elf, code...)
	path := b.TempDir() + "/tiny"
	if err := os.WriteFile(path, append(elf, make([]byte, 64)...), 0o700); err != nil {
		b.Fatal(err)
	}
	return path
}

// serviceList is about what a simple service needs. The program is executed by
// descriptor, because the user it changes to has no way to its directory.
func serviceList(b *testing.B, path string) *OpList {
	b.Helper()
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { CloseFD(fd) })
	if err := unix.Fchmod(fd, 0o755); err != nil {
		b.Fatal(err)
	}
	var l OpList
	l.Setsid(220)
	l.OpenTo(209, "/dev/null", unix.O_RDONLY, 0, 0)
	l.Umask(0o22)
	l.Setrlimit(205, unix.RLIMIT_NOFILE, 1024, 4096)
	l.IgnoreSignal(unix.SIGPIPE)
	l.Setresgid(216, 65534)
	l.Setgroups(216, nil)
	l.Setresuid(217, 65534)
	l.CloexecFrom(202, 3)
	l.ExecFD(203, FD(fd), []string{path}, []string{"PATH=/usr/bin", "LANG=C.UTF-8"}, "SYSTEMD_EXEC_PID")
	return &l
}

func BenchmarkSpawn(b *testing.B) {
	l := serviceList(b, tinyProgram(b))
	b.ReportAllocs()
	var blocked int64
	for b.Loop() {
		start := monotonicNSec()
		c, err := Spawn(l, SpawnOptions{})
		blocked += monotonicNSec() - start
		if err != nil {
			b.Fatal(err)
		}
		reap(b, c)
		if r := c.Release(); !r.Executed {
			b.Fatalf("%+v", r)
		}
	}
	b.ReportMetric(float64(blocked)/float64(b.N)/1000, "blocked-µs/op")
}

func BenchmarkSpawnParallel(b *testing.B) {
	l := serviceList(b, tinyProgram(b))
	b.SetParallelism(4)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c, err := Spawn(l, SpawnOptions{})
			if err != nil {
				b.Error(err)
				return
			}
			reap(b, c)
			if r := c.Release(); !r.Executed {
				b.Errorf("%+v", r)
			}
		}
	})
}

// BenchmarkForkExec is the floor of the standard library, without any setting.
func BenchmarkForkExec(b *testing.B) {
	path := tinyProgram(b)
	var blocked int64
	for b.Loop() {
		start := monotonicNSec()
		pid, err := syscall.ForkExec(path, []string{path}, &syscall.ProcAttr{})
		blocked += monotonicNSec() - start
		if err != nil {
			b.Fatal(err)
		}
		if _, err := unix.Wait4(pid, nil, 0, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(blocked)/float64(b.N)/1000, "blocked-µs/op")
}

func BenchmarkPollerWait(b *testing.B) {
	p, err := NewPoller()
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	w, err := NewWaker()
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close()
	if err := p.Add(w.FD(), unix.EPOLLIN, 0, 1); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		w.Wake()
		if r, err := p.Wait(-1); err != nil || len(r) != 1 {
			b.Fatal(r, err)
		}
		w.Drain()
	}
}

func monotonicNSec() int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return ts.Nano()
}
