package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/muster-init/muster/test/container/box"
)

// measureTimers has N timers that wait for tomorrow.
func measureTimers(ctx context.Context, b *bench, program box.Program, n int) error {
	files := map[string]box.File{unitDir + "late@.service": {Content: probeUnit("ExecStart=" + tinyDir + "/" + tinyExit)}}
	var wants strings.Builder
	for i := range n {
		name := fmt.Sprintf("late%05d.timer", i)
		files[unitDir+name] = box.File{Content: fmt.Sprintf("[Unit]\nDefaultDependencies=no\n[Timer]\nUnit=late@%d.service\nOnCalendar=*-*-* %02d:%02d:%02d\nOnActiveSec=20h\n",
			i%16, i/3600%24, i/60%60, i%60)}
		fmt.Fprintf(&wants, "Wants=%s\nAfter=%s\n", name, name)
	}
	files[unitDir+"all.target"] = box.File{Content: "[Unit]\nDefaultDependencies=no\n" + wants.String()}
	inside, c, err := b.bootEmpty(ctx, program, files)
	if err != nil {
		return err
	}
	defer stopBox(inside, c)
	before := cpuTime(inside.PID())
	took, err := c.startAndPoll(ctx, "all.target")
	if err != nil {
		return err
	}
	b.results.add("start N timers", n, program.Name, milliseconds, ms(took))
	b.results.add("start N timers, CPU of PID 1 per timer", n, program.Name, microseconds, float64((cpuTime(inside.PID())-before).Microseconds())/float64(n))
	time.Sleep(idleTime)
	b.results.add("RSS of PID 1, N timers", n, program.Name, mebibytes, float64(box.RSS(inside.PID()))/(1<<20))
	before = cpuTime(inside.PID())
	time.Sleep(timerIdle)
	b.results.add("CPU of PID 1 in 10 s with N timers waiting", n, program.Name, milliseconds, ms(cpuTime(inside.PID())-before))
	return nil
}

// timerIdle is how long it's watched whether waiting timers cost anything.
const timerIdle = 10 * time.Second

// measureMounts has N file systems mounted and unmounted by somebody else.
func measureMounts(ctx context.Context, b *bench, program box.Program, n int) error {
	inside, c, err := b.bootEmpty(ctx, program, nil)
	if err != nil {
		return err
	}
	defer stopBox(inside, c)
	script := "mkdir -p /run/many; mount -t tmpfs none /run/many; cd /run/many; for i in $(seq " + strconv.Itoa(n) + "); do mkdir m$i && mount -t tmpfs none m$i || exit 1; done"
	before, began := cpuTime(inside.PID()), time.Now()
	if err := execInside(ctx, inside, script); err != nil {
		return err
	}
	last := fmt.Sprintf("run-many-m%d.mount", n)
	if _, err := c.pollState(ctx, last, "active", began); err != nil {
		return err
	}
	b.results.add("N mounts appear, CPU of PID 1", n, program.Name, milliseconds, ms(cpuTime(inside.PID())-before))
	before = cpuTime(inside.PID())
	if err := execInside(ctx, inside, "umount /run/many/m*"); err != nil {
		return err
	}
	if _, err := c.pollState(ctx, last, "inactive", began); err != nil {
		return err
	}
	b.results.add("N mounts vanish, CPU of PID 1", n, program.Name, milliseconds, ms(cpuTime(inside.PID())-before))
	return nil
}

func execInside(ctx context.Context, inside *box.Box, script string) error {
	result, err := inside.Exec(ctx, "sh", "-c", script)
	if err != nil {
		return err
	}
	if result.Code != 0 {
		return fmt.Errorf("%s: exit status %d: %s", script, result.Code, result.Stderr)
	}
	return nil
}
