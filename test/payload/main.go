// Command payload is the service under test in scenarios and benchmarks. Its
// arguments are steps, done one after the other:
//
//	sleep:DUR            wait                       block             wait for ever
//	exit:N               end with a status          raise:SIG         send itself a signal
//	ignore:SIG           ignore a signal            default:SIG       undo ignore
//	on:SIG:FILE:TEXT     append TEXT per signal     onexit:SIG:N[:FILE:TEXT]  exit with N on it
//	log:FILE:TEXT        append a line              waitfile:FILE     wait until FILE exists
//	notify:TEXT          sd_notify, \n separates    childnotify:TEXT  the same from a child
//	barrier              wait for BARRIER=1         pid:FILE          write the own pid
//	fdstore:NAME         store a memfd holding NAME fdremove:NAME     take it out again
//	fds:FILE             list passed descriptors    state:FILE        list credentials, nice, …
//	watchdog:DUR:N       N times WATCHDOG=1         onreload:FILE     reload protocol on SIGHUP
//	daemon:PIDFILE       do the rest in a child, write its pid, exit 0
//	child STEP… end      do the steps up to end in a background child
//	mainpid STEP… end    the same, and announce it as MAINPID
//	listen:PATH          a unix socket that answers with its pid
//	client:NET,ADDR,TEXT connect, say TEXT, print the answer
//	hold:NET,ADDR,TEXT   connect and stay connected
//	serve:N              answer N connections on the passed sockets (0: for ever)
//	drain:FILE           append what waits in passed datagram sockets, FIFOs and queues
//	sockets:FILE         describe the passed sockets with their options
//	mqsend:QUEUE,TEXT    send to a POSIX message queue
//	notifyflood:N,TEXT   the same notification N times
//	notifyodd:KIND[,N]   a datagram that no service should send, see flood.go
//	openfiles:FILE       append how many descriptors PID 1 has
//	orphans:N            N children that end when nobody waits for them any more
//	gpt:OUT,TYPE=FILE,…  a disk image with partitions, see image.go
//	verity:DATA,HASHES   hashes of an image for dm-verity; the root hash is printed
//	hangfs:KIND,DIR[,NAME…]  mount a file system that hangs, see hangfs.go
//	answer:LINK,LOG,FILE a person at a terminal, see terminal.go
//	hostile:KIND[,N]     misbehave on the private socket, see hostile.go
//	oomsubscribe:SOCKET,FILE  play systemd-oomd: FILE has what is to be watched, see oom.go
//	oomserve:SOCKET,FILE      the same for what users' managers report
//	nftmake:FAMILY,TABLE,SET,BYTES  a set of nftables, see nft.go
//	nftlist:FAMILY,TABLE,SET        print what is in it
//
// SIG is a name such as TERM. A step that fails ends the program with 99.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "payload: %v\n", err)
		os.Exit(99)
	}
}

func run(steps []string) error {
	for i := 0; i < len(steps); i++ {
		name, argument, _ := strings.Cut(steps[i], ":")
		switch name {
		case "daemon":
			return daemon(argument, steps[i+1:])
		case "child", "mainpid":
			rest, inner := splitEnd(steps[i+1:])
			if err := background(name, inner); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			i = len(steps) - len(rest) - 1
			continue
		}
		step, ok := table[name]
		if !ok {
			return fmt.Errorf("step %q: unknown", steps[i])
		}
		if err := step(argument); err != nil {
			return fmt.Errorf("step %q: %w", steps[i], err)
		}
	}
	return nil
}

var table map[string]func(argument string) error

func init() {
	table = map[string]func(string) error{
		"sleep": sleep, "block": block, "exit": exit, "raise": raise, "ignore": ignore, "default": restore,
		"on": onSignal, "onexit": onExit, "log": logLine, "waitfile": waitFile, "pid": writePID,
		"notify": notify, "childnotify": childNotify, "barrier": barrier, "fdstore": fdStore, "fdremove": fdRemove,
		"fds": listFDs, "state": writeState, "watchdog": watchdog, "onreload": onReload, "listen": listen,
		"client": client, "hold": hold, "serve": serve, "drain": drain, "sockets": sockets, "mqsend": mqSend,
		"notifyflood": notifyFlood, "notifyodd": notifyOdd, "openfiles": openFiles, "orphans": orphans, "hostile": hostile,
		"gpt": gpt, "verity": verityData,
		"hangfs": hangFS, "answer": answer, "oomsubscribe": oomSubscribe, "oomserve": oomServe, "nftmake": nftMake, "nftlist": nftList,
	}
}

func sleep(argument string) error {
	duration, err := time.ParseDuration(argument)
	if err == nil {
		time.Sleep(duration)
	}
	return err
}

func block(string) error {
	// Not `select {}`: the runtime would call that a deadlock.
	for {
		time.Sleep(time.Hour)
	}
}

func exit(argument string) error {
	code, err := strconv.Atoi(argument)
	if err == nil {
		os.Exit(code)
	}
	return err
}

func signalOf(name string) (syscall.Signal, error) {
	number := unix.SignalNum("SIG" + strings.TrimPrefix(name, "SIG"))
	if number == 0 {
		return 0, fmt.Errorf("signal %q: unknown", name)
	}
	return number, nil
}

// raise lets the signal do what it does by default. The Go runtime has its own
// answer to most signals, so a shell takes the place of this process first.
func raise(argument string) error {
	number, err := signalOf(argument)
	if err != nil {
		return err
	}
	return syscall.Exec("/bin/sh", []string{"sh", "-c", "kill -" + strconv.Itoa(int(number)) + " $$"}, os.Environ())
}

func ignore(argument string) error {
	number, err := signalOf(argument)
	if err == nil {
		signal.Ignore(number)
	}
	return err
}

func restore(argument string) error {
	number, err := signalOf(argument)
	if err == nil {
		signal.Reset(number)
	}
	return err
}

func onSignal(argument string) error {
	name, rest, _ := strings.Cut(argument, ":")
	number, err := signalOf(name)
	if err != nil {
		return err
	}
	caught := make(chan os.Signal, 8)
	signal.Notify(caught, number)
	go func() {
		for range caught {
			if err := logLine(rest); err != nil {
				fmt.Fprintf(os.Stderr, "payload: %v\n", err)
			}
		}
	}()
	return nil
}

func onExit(argument string) error {
	name, rest, _ := strings.Cut(argument, ":")
	status, line, logged := strings.Cut(rest, ":")
	number, err := signalOf(name)
	if err != nil {
		return err
	}
	code, err := strconv.Atoi(status)
	if err != nil {
		return err
	}
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, number)
	go func() {
		<-caught
		if logged {
			if err := logLine(line); err != nil {
				fmt.Fprintf(os.Stderr, "payload: %v\n", err)
			}
		}
		os.Exit(code)
	}()
	return nil
}

func logLine(argument string) error {
	path, text, _ := strings.Cut(argument, ":")
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = file.WriteString(text + "\n") // one write, so lines never mix
	return err
}

func waitFile(path string) error {
	for range 3000 {
		if _, err := os.Stat(path); err == nil {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("%s does not appear", path)
}

func writePID(path string) error {
	return os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644)
}

// splitEnd separates the steps before "end" from those after it.
func splitEnd(steps []string) (rest, inner []string) {
	depth := 0
	for i, step := range steps {
		switch step {
		case "child", "mainpid":
			depth++
		case "end":
			if depth == 0 {
				return steps[i+1:], steps[:i]
			}
			depth--
		}
	}
	return nil, steps
}

func startChild(steps []string, attr *syscall.SysProcAttr) (*exec.Cmd, error) {
	cmd := exec.Command("/proc/self/exe", steps...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = attr
	return cmd, cmd.Start()
}

// background starts the steps in a child; for mainpid it tells the manager.
func background(kind string, steps []string) error {
	cmd, err := startChild(steps, nil)
	if err != nil || kind == "child" {
		return err
	}
	return notify("MAINPID=" + strconv.Itoa(cmd.Process.Pid))
}

// daemon is what a classic daemon does: the pid file is there before the first
// process exits.
func daemon(pidFile string, steps []string) error {
	cmd, err := startChild(steps, &syscall.SysProcAttr{Setsid: true})
	if err != nil {
		return err
	}
	if pidFile != "" {
		if err := os.WriteFile(pidFile, []byte(strconv.Itoa(cmd.Process.Pid)+"\n"), 0o644); err != nil {
			return err
		}
	}
	os.Exit(0)
	return nil
}
