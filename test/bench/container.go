package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/muster-init/muster/test/container/box"
)

// kind is a set of N units of one shape.
type kind struct {
	name    string
	service string                        // lines of [Service]
	unit    func(n, i int) (lines string) // lines of [Unit]; may be nil
}

var kinds = []kind{
	{name: "oneshot", service: "Type=oneshot\nRemainAfterExit=yes\nExecStart=" + tinyDir + "/" + tinyExit},
	{name: "simple", service: "ExecStart=" + tinyDir + "/" + tinyPause},
	{name: "notify", service: "Type=notify\nExecStart=" + tinyDir + "/" + tinyNotify},
	{name: "chain", service: "Type=oneshot\nRemainAfterExit=yes\nExecStart=" + tinyDir + "/" + tinyExit, unit: chainLines},
	{name: "dag", service: "Type=oneshot\nRemainAfterExit=yes\nExecStart=" + tinyDir + "/" + tinyExit, unit: dagLines},
	{name: "hardened", service: "Type=oneshot\nRemainAfterExit=yes\nExecStart=" + tinyDir + "/" + tinyExit + "\n" + hardened},
	{name: "confined", service: "Type=oneshot\nRemainAfterExit=yes\nExecStart=" + tinyDir + "/" + tinyExit + "\n" + hardened + confined},
	{name: "crash", service: "ExecStart=" + tinyDir + "/" + tinyFail + "\nRestart=always\nRestartSec=100ms", unit: func(int, int) string { return "StartLimitIntervalSec=0\n" }},
}

// hardened are the 13 settings that packages use most.
const hardened = `PrivateTmp=yes
ProtectSystem=strict
ProtectHome=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
RestrictNamespaces=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
SystemCallFilter=@system-service
MemoryDenyWriteExecute=yes
NoNewPrivileges=yes
CapabilityBoundingSet=CAP_NET_BIND_SERVICE CAP_DAC_OVERRIDE
`

// confined are those that a service rarely has on top.
const confined = `User=nobody
PrivateNetwork=yes
PrivateIPC=yes
PrivateUsers=yes
ProtectKernelLogs=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
ProcSubset=pid
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
RemoveIPC=yes
UMask=0077
KeyringMode=private
InaccessiblePaths=/srv
TemporaryFileSystem=/opt
BindReadOnlyPaths=/etc/hostname:/mnt
RuntimeDirectory=%p
AmbientCapabilities=
`

func kindNamed(name string) kind {
	for _, k := range kinds {
		if k.name == name {
			return k
		}
	}
	panic("bench: no kind " + name)
}

func chainLines(_, i int) string {
	if i == 0 {
		return ""
	}
	return fmt.Sprintf("Requires=chain%05d.service\nAfter=chain%05d.service\n", i-1, i-1)
}

// dagLines makes each unit need up to three earlier ones.
func dagLines(_, i int) string {
	var lines strings.Builder
	for _, earlier := range []int{i / 2, i - 3, i - 17} {
		if earlier >= 0 && earlier < i {
			fmt.Fprintf(&lines, "Requires=dag%05d.service\nAfter=dag%05d.service\n", earlier, earlier)
		}
	}
	return lines.String()
}

func (k kind) unitName(i int) string { return fmt.Sprintf("%s%05d.service", k.name, i) }

func (k kind) target() string { return "all-" + k.name + ".target" }

const unitDir = "/etc/systemd/system/"

// files are the N units and the target that wants them all.
func (k kind) files(n int) map[string]box.File {
	files := map[string]box.File{}
	var wants strings.Builder
	for i := range n {
		lines := ""
		if k.unit != nil {
			lines = k.unit(n, i)
		}
		files[unitDir+k.unitName(i)] = box.File{Content: "[Unit]\nDescription=Unit " + strconv.Itoa(i) +
			"\nDefaultDependencies=no\n" + lines + "[Service]\nStandardOutput=null\nStandardError=null\n" + k.service + "\n"}
		fmt.Fprintf(&wants, "Wants=%s\nAfter=%s\n", k.unitName(i), k.unitName(i))
	}
	files[unitDir+k.target()] = box.File{Content: "[Unit]\nDefaultDependencies=no\n" + wants.String()}
	return files
}

// bootEmpty boots an init that does nothing but read its units: no journal, no
// generators, a default.target of its own.
func (b *bench) bootEmpty(ctx context.Context, program box.Program, units map[string]box.File) (*box.Box, *client, error) {
	files := box.Identity()
	for path, file := range units {
		files[path] = file
	}
	files[unitDir+"default.target"] = box.File{Link: "bench.target"}
	files[unitDir+"bench.target"] = box.File{Content: "[Unit]\nDefaultDependencies=no\n"}
	files["/etc/systemd/system.conf.d/50-bench.conf"] = box.File{
		Content: "[Manager]\nLogLevel=err\nLogTarget=null\nShowStatus=no\nDefaultStandardOutput=null\nDefaultTasksMax=infinity\n",
	}
	for _, dir := range []string{"usr/lib/systemd/system-generators", "usr/local/lib/systemd/system-generators"} {
		generators, err := filepath.Glob(filepath.Join(b.root, dir, "*"))
		if err != nil {
			return nil, nil, err
		}
		for _, generator := range generators {
			files["/etc/systemd/system-generators/"+filepath.Base(generator)] = box.File{Link: "/dev/null"}
		}
	}
	inside, err := box.Start(box.Options{
		Root: b.root, Init: program.Path, Args: program.Args, Files: files,
		Binds: append([]box.Bind{{Source: b.tiny, Target: tinyDir}}, program.Binds...),
	})
	if err != nil {
		return nil, nil, err
	}
	c, err := connect(ctx, inside)
	if err == nil {
		_, err = c.pollState(ctx, "bench.target", "active", time.Now())
	}
	if err != nil {
		console := inside.Console()
		if stopErr := inside.Stop(); stopErr != nil {
			fmt.Fprintf(os.Stderr, "bench: %v\n", stopErr)
		}
		return nil, nil, fmt.Errorf("%w\n%s", err, console)
	}
	return inside, c, nil
}

// stopBox ends a box that a measurement is done with.
func stopBox(b *box.Box, c *client) {
	c.close()
	if err := b.Stop(); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
	}
}

// cpuTime is user and system time of one process so far, all its threads, with
// the 10 ms resolution of /proc/PID/stat.
func cpuTime(pid int) time.Duration {
	own, _ := cpuTimes(pid)
	return own
}

// cpuTimes are the times of a process and those of its children that it has
// waited for.
func cpuTimes(pid int) (own, children time.Duration) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, 0
	}
	// The name in parentheses may hold blanks.
	_, after, ok := strings.Cut(string(text), ") ")
	fields := strings.Fields(after)
	if !ok || len(fields) < 15 {
		return 0, 0
	}
	var ticks [4]int // user and system, own and of children
	for i := range ticks {
		if ticks[i], err = strconv.Atoi(fields[11+i]); err != nil {
			return 0, 0
		}
	}
	const tick = 10 * time.Millisecond
	return time.Duration(ticks[0]+ticks[1]) * tick, time.Duration(ticks[2]+ticks[3]) * tick
}
