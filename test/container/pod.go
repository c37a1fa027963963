package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/muster-init/muster/test/container/box"
	"github.com/muster-init/muster/test/root"
)

// podUser is who everything in the pod runs as, PID 1 too.
const podUser = 1000

// podFiles is what an image adds to a base system: its units. The programs are
// those of the base.
var podFiles = map[string]box.File{
	"/etc/systemd/system/default.target": {Content: "[Unit]\nDescription=The pod\nWants=web.service work.socket tick.timer\n"},
	"/etc/systemd/system/web.service": {Content: "[Unit]\nDescription=Web server\nAfter=page.service\nRequires=page.service\n" +
		"[Service]\nExecStart=/bin/busybox httpd -f -p 80 -h /run/web\nRestart=always\nRestartSec=100ms\n"},
	"/etc/systemd/system/page.service": {Content: "[Unit]\nDescription=The page\n[Service]\nType=oneshot\nRemainAfterExit=yes\nRuntimeDirectory=web\n" +
		"ExecStart=/bin/sh -c 'echo \"a page of $(hostname), made by uid $(id -u)\" >/run/web/index.html'\n"},
	"/etc/systemd/system/work.socket":     {Content: "[Unit]\nDescription=Work on demand\n[Socket]\nListenStream=7000\nAccept=yes\n"},
	"/etc/systemd/system/work@.service":   {Content: "[Unit]\nDescription=One piece of work\n[Service]\nStandardInput=socket\nExecStart=/bin/sh -c 'read what; echo did $what'\n"},
	"/etc/systemd/system/tick.timer":      {Content: "[Unit]\nDescription=Every second\n[Timer]\nOnActiveSec=0\nOnUnitActiveSec=1s\nAccuracySec=1ms\n"},
	"/etc/systemd/system/limited.service": {Content: "[Unit]\nDescription=Limits that nothing enforces\n[Service]\nMemoryMax=1G\nExecStart=/bin/sleep 1000\n"},
	"/etc/systemd/system/guarded.service": {Content: "[Unit]\nDescription=Asks for more than there is\n[Service]\nType=oneshot\nRemainAfterExit=yes\nPrivateTmp=yes\nExecStart=/bin/true\n"},
	"/etc/systemd/system/tick.service":    {Content: "[Unit]\nDescription=Regular work\n[Service]\nType=oneshot\nExecStart=/bin/echo tick\n"},
}

// podRoot is a base image: it has no package of any init system.
func podRoot(ctx context.Context) (string, error) {
	spec, err := root.Find("bare")
	if err != nil {
		return "", err
	}
	return spec.Prepare(ctx, os.Stderr)
}

// startPod boots muster with no capability, no writable cgroup and no mounts.
func startPod(ctx context.Context) (*box.Box, error) {
	repository, err := box.Repository()
	if err != nil {
		return nil, err
	}
	program, err := box.FindProgram(ctx, "muster", repository)
	if err != nil {
		return nil, err
	}
	dir, err := podRoot(ctx)
	if err != nil {
		return nil, err
	}
	files := box.Identity()
	for path, file := range podFiles {
		files[path] = file
	}
	return box.Start(box.Options{
		Root: dir, Init: program.Path, Args: program.Args, Binds: program.Binds, Files: files, Hostname: "pod", Unprivileged: podUser,
	})
}

// runPod boots a pod, shows that its services work, and ends it the way an
// orchestrator does.
func runPod(ctx context.Context) (err error) {
	began := time.Now()
	b, err := startPod(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Stop()) }()
	state, err := waitBooted(ctx, b, "musterctl")
	if err != nil {
		return fmt.Errorf("%w\n--- console\n%s", err, lastLines(b.Console(), 40))
	}
	fmt.Printf("muster is PID 1 of a container without capabilities, writable cgroups or mounts; %s after %d ms\n", state, time.Since(began).Milliseconds())
	status, size, err := fetchPage(ctx, b)
	if err != nil {
		return fmt.Errorf("web.service: %w\n--- console\n%s", err, lastLines(b.Console(), 40))
	}
	fmt.Printf("web.service answers: %s, %d bytes\n", status, size)
	for _, command := range [][]string{
		{"grep", "-E", "^(Name|Uid|CapBnd|NoNewPrivs):", "/proc/1/status"},
		{"sh", "-c", "echo a sum | busybox nc -w 2 127.0.0.1 7000"},
		{"musterctl", "list-units", "--no-legend", "--type=service,socket,timer"},
		{"musterctl", "logs", "tick.service", "-n", "4"},
	} {
		result, err := b.Exec(ctx, command...)
		if err != nil {
			return err
		}
		fmt.Printf("\n$ %s\n%s%s", strings.Join(command, " "), result.Stdout, result.Stderr)
	}
	return endPod(b)
}

// endPod sends SIGTERM, all that an orchestrator sends.
func endPod(b *box.Box) error {
	began := time.Now()
	if err := b.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	status, err := b.Wait(ctx)
	if err != nil {
		return fmt.Errorf("%w\n--- console\n%s", err, lastLines(b.Console(), 20))
	}
	if status.Code != 0 {
		return fmt.Errorf("PID 1 %v after SIGTERM\n--- console\n%s", status, lastLines(b.Console(), 20))
	}
	fmt.Printf("\nSIGTERM: all services stopped, PID 1 %v after %d ms\n", status, time.Since(began).Milliseconds())
	return nil
}
