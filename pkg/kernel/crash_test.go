//go:build amd64 || arm64

package kernel

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func init() {
	helpers["crash"] = crashHelper
	helpers["survivor"] = survivorHelper
}

// crashHelper is process 1 of a namespace: it has a child, installs the hook
// and then goes down in the way it is told to.
func crashHelper(args []string) {
	runtime.LockOSThread()
	check := func(err error) {
		if err != nil {
			fmt.Println("crash helper:", err)
			os.Exit(96)
		}
	}
	var l OpList
	l.Exec(203, "/bin/sleep", []string{"sleep", "100"}, nil)
	c, err := Spawn(&l, SpawnOptions{})
	check(err)
	state, err := NewStateMemory("crash-test", 4096)
	check(err)
	check(SetCloexec(state.FD(), false))
	exe, err := os.Executable()
	check(err)
	record := (*CrashRecord)(unsafe.Pointer(&state.Bytes()[0]))
	check(CrashHook{
		Path: exe, Argv: []string{exe, "helper", "survivor", itoa(c.Pid), itoa(state.FD())},
		Envp: os.Environ(), Record: record,
	}.Install())
	*(*int64)(unsafe.Pointer(&state.Bytes()[64])) = monotonicNSec()
	ways[args[0]]()
	fmt.Println("crash helper: nothing happened")
	os.Exit(95)
}

// survivorHelper is the image after the crash.
func survivorHelper(args []string) {
	now := monotonicNSec()
	child, _ := strconv.Atoi(args[0])
	fd, _ := strconv.Atoi(args[1])
	state, err := MapStateMemory(fd)
	if err != nil {
		fmt.Println("survivor:", err)
		os.Exit(94)
	}
	record := (*CrashRecord)(unsafe.Pointer(&state.Bytes()[0]))
	before := *(*int64)(unsafe.Pointer(&state.Bytes()[64]))
	pid, err := unix.Wait4(child, nil, unix.WNOHANG, nil)
	fmt.Printf("\nsurvived pid=%d child=%d,%v count=%d signal=%d usec=%d\n",
		os.Getpid(), pid, err, record.Count, record.Signal, (now-before)/1000)
}

var ways = map[string]func(){
	"panic": func() {
		go func() { panic("unguarded") }()
		time.Sleep(time.Minute)
	},
	"nil pointer": func() {
		go func() {
			var p *[10]int
			p[len(os.Args)-1]++
		}()
		time.Sleep(time.Minute)
	},
	"concurrent map write": func() {
		runtime.GOMAXPROCS(4)
		m := map[int]int{}
		for range 8 {
			go func() {
				for i := 0; ; i++ {
					m[i%10] = i
				}
			}()
		}
		time.Sleep(time.Minute)
	},
	"stack overflow": func() { fmt.Println(recurse(1)) },
	"deadlock":       func() { select {} },
	"wild pointer": func() {
		p := (*int)(unsafe.Add(unsafe.Pointer(nil), len(os.Args)<<40))
		*p = 1
	},
	"out of memory": func() {
		_ = unix.Setrlimit(unix.RLIMIT_AS, &unix.Rlimit{Cur: 3 << 30, Max: 3 << 30})
		var keep [][]byte
		for {
			b := make([]byte, 64<<20)
			keep = append(keep, b)
			runtime.KeepAlive(keep)
		}
	},
	"SIGABRT":               func() { kill(unix.SIGABRT) },
	"SIGQUIT":               func() { kill(unix.SIGQUIT) },
	"SIGSEGV from outside":  func() { kill(unix.SIGSEGV) },
	"Reexec":                Reexec,
	"hang with heartbeat":   func() { hang(false) },
	"idle with heartbeat":   func() { idle() },
	"idle poller":           func() { idlePoller() },
	"hang after heartbeats": func() { hang(true) },
}

func recurse(n int) int {
	if n < 0 {
		return 0
	}
	return recurse(n+1) + n
}

func kill(sig unix.Signal) {
	_ = unix.Kill(os.Getpid(), sig)
	time.Sleep(time.Minute)
}

func hang(beats bool) {
	if err := Heartbeat(50_000); err != nil {
		fmt.Println(err)
		os.Exit(93)
	}
	if beats {
		for range 40 {
			Beat()
			time.Sleep(10 * time.Millisecond)
		}
		BeatIdle()
		time.Sleep(200 * time.Millisecond)
		Beat()
	}
	for { // the loop of a hung manager
		runtime.Gosched()
	}
}

// idlePoller waits for nothing in a Poller, which beats by itself.
func idlePoller() {
	p, err := NewPoller()
	if err == nil {
		err = Heartbeat(100_000)
	}
	// A tick of the timer ends a wait early, so count the time.
	for end := monotonicNSec() + 800e6; err == nil && monotonicNSec() < end; {
		_, err = p.Wait(200_000)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(93)
	}
	fmt.Printf("\nidle pid=%d\n", os.Getpid())
	os.Exit(0)
}

// idle survives several intervals, and SIGALRM from somebody else.
func idle() {
	if err := Heartbeat(100_000); err != nil {
		fmt.Println(err)
		os.Exit(93)
	}
	Beat()
	BeatIdle()
	for range 20 {
		_ = unix.Kill(os.Getpid(), unix.SIGALRM)
		time.Sleep(40 * time.Millisecond)
	}
	fmt.Printf("\nidle pid=%d\n", os.Getpid())
	os.Exit(0)
}

func TestCrashHook(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to make a pid namespace")
	}
	for way := range ways {
		t.Run(way, func(t *testing.T) {
			goDown := func() (string, unix.WaitStatus, SpawnResult) {
				var l OpList
				return spawnRead(t, &l, SpawnOptions{Flags: unix.CLONE_NEWPID}, func(l *OpList) {
					l.OpenTo(209, "/dev/null", unix.O_WRONLY, 0, 2)
					execHelper(l, "crash", way)
				})
			}
			out, ws, res := goDown()
			if strings.HasPrefix(way, "idle") {
				// A machine that leaves a process standing for two intervals on its way to be idle makes it look hung.
				for try := 1; try < 5 && !strings.Contains(out, "idle pid=1\n"); try++ {
					t.Logf("try %d: %v %+v\n%s", try, ws, res, out)
					out, ws, res = goDown()
				}
				if !strings.Contains(out, "idle pid=1\n") {
					t.Errorf("%v %+v\n%s", ws, res, out)
				}
				return
			}
			want := "survived pid=1 child=0,<nil> count=1 signal=6 "
			if strings.HasPrefix(way, "hang") {
				want = "survived pid=1 child=0,<nil> count=1 signal=14 "
			}
			_, line, ok := strings.Cut(out, "\nsurvived")
			if !ok || !strings.HasPrefix("survived"+line, want) {
				t.Fatalf("%v %+v\n%s", ws, res, out)
			}
			t.Log(strings.TrimSpace(line))
		})
	}
}

func TestCrashHookWithoutImage(t *testing.T) {
	var l OpList
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	l.Dup(99, int(w.Fd()), 1)
	l.OpenTo(209, "/dev/null", unix.O_WRONLY, 0, 2)
	execHelper(&l, "freeze")
	c, err := Spawn(&l, SpawnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	var b [16]byte
	if n, err := r.Read(b[:]); err != nil || string(b[:n]) != "ready" {
		t.Fatalf("%q %v", b[:n], err)
	}
	// The process must neither end nor spin; give it time to fail.
	time.Sleep(300 * time.Millisecond)
	var ws unix.WaitStatus
	if pid, err := unix.Wait4(c.Pid, &ws, unix.WNOHANG, nil); pid != 0 {
		t.Errorf("the process ended: %v %v", ws, err)
	}
	if err := unix.Kill(c.Pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	reap(t, c)
}

func init() {
	helpers["freeze"] = func([]string) {
		if err := InstallCrashHook("/nonexistent", []string{"x"}, nil); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Print("ready")
		panic("nothing to execute")
	}
}
