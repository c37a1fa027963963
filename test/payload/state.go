package main

import (
	"fmt"
	"os"
	"sort"
	"strings"

	"golang.org/x/sys/unix"
)

// listFDs writes one line per passed descriptor: number, name, content of a
// memfd.
func listFDs(path string) error {
	var lines []string
	if os.Getenv("LISTEN_PID") == fmt.Sprint(os.Getpid()) {
		names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
		var count int
		if _, err := fmt.Sscan(os.Getenv("LISTEN_FDS"), &count); err != nil {
			return err
		}
		for i := range count {
			content := make([]byte, 64)
			n, err := unix.Pread(3+i, content, 0)
			if err != nil {
				n = 0 // a socket
			}
			lines = append(lines, fmt.Sprintf("%d %s %s", 3+i, names[i], content[:n]))
		}
	}
	return os.WriteFile(path, []byte(strings.Join(append(lines, ""), "\n")), 0o644)
}

// writeState writes what the manager gave this process, as key=value lines.
func writeState(path string) error {
	state := map[string]string{}
	groups, err := os.Getgroups()
	if err != nil {
		return err
	}
	state["uid"], state["gid"] = fmt.Sprint(os.Getuid()), fmt.Sprint(os.Getgid())
	state["groups"] = strings.Trim(fmt.Sprint(groups), "[]")
	if state["cwd"], err = os.Getwd(); err != nil {
		return err
	}
	umask := unix.Umask(0)
	unix.Umask(umask)
	state["umask"] = fmt.Sprintf("%04o", umask)
	addStatus(state)
	if err := addScheduling(state); err != nil {
		return err
	}
	for fd, name := range []string{"stdin", "stdout", "stderr"} {
		target, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
		if err != nil {
			target = "closed"
		}
		state[name] = target
	}
	for _, variable := range os.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		state["env."+name] = value
	}
	var lines []string
	for key, value := range state {
		lines = append(lines, key+"="+value)
	}
	sort.Strings(lines)
	return os.WriteFile(path, []byte(strings.Join(append(lines, ""), "\n")), 0o644)
}

// addStatus takes the lines of proc_pid_status(5) that settings change. Signal
// dispositions and limits are left to programs without a runtime that changes
// its own: grep SigIgn /proc/self/status, cat /proc/self/limits.
func addStatus(state map[string]string) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return
	}
	for _, line := range strings.Split(string(text), "\n") {
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		switch key {
		case "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "SigBlk", "PPid", "Cpus_allowed_list":
			state[key] = strings.TrimSpace(value)
		}
	}
	for key, file := range map[string]string{"oom_score_adj": "oom_score_adj", "cgroup": "cgroup", "timerslack": "timerslack_ns", "personality": "personality"} {
		content, err := os.ReadFile("/proc/self/" + file)
		if err != nil {
			continue
		}
		lines := strings.Split(strings.TrimSpace(string(content)), "\n")
		state[key] = strings.TrimPrefix(lines[len(lines)-1], "0::")
	}
}

func addScheduling(state map[string]string) error {
	nice, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		return err
	}
	state["nice"] = fmt.Sprint(20 - nice) // the system call returns 20-nice
	policy, _, errno := unix.Syscall(unix.SYS_SCHED_GETSCHEDULER, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	state["sched"] = fmt.Sprint(policy)
	ioprio, _, errno := unix.Syscall(unix.SYS_IOPRIO_GET, 1, 0, 0)
	if errno != 0 {
		return errno
	}
	state["ioprio"] = fmt.Sprintf("%d/%d", ioprio>>13, ioprio&0x1fff)
	securebits, err := unix.PrctlRetInt(unix.PR_GET_SECUREBITS, 0, 0, 0, 0)
	if err != nil {
		return err
	}
	state["securebits"] = fmt.Sprint(securebits)
	return nil
}
