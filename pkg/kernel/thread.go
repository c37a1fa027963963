package kernel

import (
	"runtime"
	"sync"
)

// ReserveThreads makes the Go runtime own n idle threads more than are in use
// now. The runtime keeps them for good, so that later goroutines which block in
// system calls, and the garbage collector's workers, find a thread instead of
// making one: a failing clone(2) (pids.max, RLIMIT_NPROC, no memory) is fatal
// in Go. Call it once from main, after LockOSThread (which itself has the
// runtime start a helper thread), and keep the number of goroutines that may
// block at the same time below n minus GOMAXPROCS.
func ReserveThreads(n int) {
	var ready, done sync.WaitGroup
	release := make(chan struct{})
	ready.Add(n)
	done.Add(n)
	for range n {
		go func() {
			// A locked goroutine keeps its thread while it is blocked, so all n
			// exist at the same time.
			runtime.LockOSThread()
			ready.Done()
			<-release
			// Unlocked before the end: a thread whose goroutine ends locked is
			// thrown away.
			runtime.UnlockOSThread()
			done.Done()
		}()
	}
	ready.Wait()
	close(release)
	done.Wait()
}

// ThreadCount is the number of threads of the process, 0 if it is not known.
func ThreadCount() int {
	b, err := readSmall("/proc/self/status")
	if err != nil {
		return 0
	}
	v, _ := field(string(b), "Threads:")
	n, _ := atoi(v)
	return n
}
