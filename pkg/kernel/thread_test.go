package kernel

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func init() {
	helpers["threads"] = threadHelper
}

// threadHelper runs as a user that may make no more threads, and then wants
// them: the collector's workers, and goroutines that block in system calls.
func threadHelper(args []string) {
	runtime.LockOSThread()
	if args[0] == "reserved" {
		ReserveThreads(16)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NPROC, &unix.Rlimit{Cur: 1, Max: 1}); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	var l OpList
	l.Exit(0)
	if _, err := Spawn(&l, SpawnOptions{}); !errors.Is(err, unix.EAGAIN) {
		fmt.Println("spawn beyond the limit:", err)
		os.Exit(1)
	}
	before := ThreadCount()
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			var keep [][]byte
			for range 20 {
				ts := unix.NsecToTimespec(int64(5 * time.Millisecond))
				_ = unix.Nanosleep(&ts, nil) // blocks a thread, not only a goroutine
				keep = append(keep, make([]byte, 100_000))
				runtime.GC()
			}
			runtime.KeepAlive(keep)
		}()
	}
	wg.Wait()
	fmt.Printf("alive with %d threads, %d before\n", ThreadCount(), before)
}

func TestReserveThreads(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to become a user without processes")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	image, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	// The test binary may lie where that user cannot go.
	fd, err := SealedMemfd("threads", image, true)
	if err != nil {
		t.Fatal(err)
	}
	defer CloseFD(fd)
	// On a loaded machine the threads of the first moments may be late, so the guarded program has three tries; the other one must not survive any.
	tries := 0
	for i, kind := range []string{"reserved", "reserved", "reserved", "not reserved"} {
		if kind == "reserved" && tries < 0 {
			continue
		}
		var l OpList
		out, ws, res := spawnRead(t, &l, SpawnOptions{}, func(l *OpList) {
			l.OpenTo(209, "/dev/null", unix.O_WRONLY, 0, 2)
			l.Setgroups(216, nil)
			l.Setresgid(216, 54321)
			l.Setresuid(217, uint32(54321+i))
			l.ExecFD(203, FD(fd), []string{"threads", "helper", "threads", kind}, []string{"GOTRACEBACK=none"})
		})
		alive := strings.HasPrefix(out, "alive with ")
		if kind == "reserved" {
			var after, before int
			if n, err := fmt.Sscanf(out, "alive with %d threads, %d before", &after, &before); n != 2 || before != after || ws.ExitStatus() != 0 {
				t.Logf("%q %v %v %+v", out, err, ws, res)
				if tries++; tries == 3 {
					t.Error("no try survived")
				}
			} else {
				tries = -1
			}
		} else if alive {
			t.Errorf("survived without reserved threads, so the test shows nothing: %q", out)
		}
	}
}
