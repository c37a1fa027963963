package kernel

import (
	"fmt"
	"os"
	"runtime"
	"testing"
)

// helpers are programs the test binary turns into when it is executed as
// "… helper NAME ARGS": processes of their own that may be process 1 of a pid
// namespace, crash, or run out of threads.
var helpers = map[string]func(args []string){}

// Tests that give a thread a namespace of its own let the thread end with its
// goroutine. The main thread cannot end, and is what /proc/self shows, so no
// test may run there.
func init() { runtime.LockOSThread() }

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "helper" {
		run, ok := helpers[os.Args[2]]
		if !ok {
			fmt.Println("no such helper:", os.Args[2])
			os.Exit(97)
		}
		run(os.Args[3:])
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// execHelper appends the execution of a helper to the list.
func execHelper(l *OpList, args ...string) {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	l.Exec(203, exe, append([]string{exe, "helper"}, args...), os.Environ())
}
