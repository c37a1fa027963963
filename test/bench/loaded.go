package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/muster-init/muster/test/container/box"
)

// measureLoaded has N units loaded and inactive: memory, calls, reload, and the
// latency of single jobs beside them.
func measureLoaded(ctx context.Context, b *bench, program box.Program, n int) error {
	alone, err := jobsAlone(ctx, b, program)
	if err != nil {
		return err
	}
	k := kindNamed("simple")
	files := k.files(n)
	for name, content := range probeUnits {
		files[unitDir+name] = box.File{Content: content}
	}
	inside, c, err := b.bootEmpty(ctx, program, files)
	if err != nil {
		return err
	}
	defer stopBox(inside, c)
	// An active target that wants them keeps all of them loaded.
	if err := c.call(ctx, "StartUnit", k.target(), "ignore-dependencies").Err; err != nil {
		return err
	}
	if _, err := c.pollState(ctx, k.target(), "active", time.Now()); err != nil {
		return err
	}
	time.Sleep(idleTime) // what is done when idle, such as giving memory back
	b.results.add("RSS of PID 1, N loaded", n, program.Name, mebibytes, float64(box.RSS(inside.PID()))/(1<<20))
	if err := measureCalls(ctx, b, program, inside, n); err != nil {
		return err
	}
	if err := measureReload(ctx, b, program, inside, c, n); err != nil {
		return err
	}
	return measureJobs(ctx, b, program, inside, alone, n)
}

// idleTime is how long a manager is left alone before its memory is looked at.
const idleTime = 4 * time.Second

// probeUnits are started and stopped beside the others.
var probeUnits = map[string]string{
	"probe-simple.service":  probeUnit("ExecStart=" + tinyDir + "/" + tinyPause),
	"probe-oneshot.service": probeUnit("Type=oneshot\nRemainAfterExit=yes\nExecStart=" + tinyDir + "/" + tinyExit),
	"probe-notify.service":  probeUnit("Type=notify\nExecStart=" + tinyDir + "/" + tinyNotify),
}

func probeUnit(lines string) string {
	return "[Unit]\nDefaultDependencies=no\nStartLimitIntervalSec=0\n[Service]\nStandardOutput=null\nStandardError=null\n" + lines + "\n"
}

// rate repeats a call for a second, at least three times, and returns calls per
// second.
func rate(ctx context.Context, call func() error) (float64, error) {
	began := time.Now()
	for count := 1; ; count++ {
		if err := call(); err != nil {
			return 0, err
		}
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if took := time.Since(began); took > time.Second && count >= 3 {
			return float64(count) / took.Seconds(), nil
		}
	}
}

// measureCalls counts calls per second, one after the other.
func measureCalls(ctx context.Context, b *bench, program box.Program, inside *box.Box, n int) error {
	raw, err := dialRaw(ctx, inside)
	if err != nil {
		return err
	}
	defer raw.conn.Close()
	const properties = "org.freedesktop.DBus.Properties"
	unit := unitPath(kindNamed("simple").unitName(0))
	for _, m := range []struct {
		name   string
		path   dbus.ObjectPath
		iface  string
		member string
		args   []any
	}{
		{"ListUnits", managerPath, manager, "ListUnits", nil},
		{"GetAll(Service)", unit, properties, "GetAll", []any{service + ".Service"}},
		{"GetAll(Unit)", unit, properties, "GetAll", []any{service + ".Unit"}},
		{"Get of one property", unit, properties, "Get", []any{service + ".Unit", "ActiveState"}},
	} {
		message, err := rawCall(m.path, m.iface, m.member, m.args...)
		if err != nil {
			return err
		}
		if err := raw.conn.limit(time.Minute); err != nil {
			return err
		}
		perSec, err := rate(ctx, func() error { return raw.call(message) })
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		b.results.add(m.name, n, program.Name, perSecond, perSec)
	}
	return nil
}

// reloads is how often each reload is measured; the median counts.
const reloads = 3

func measureReload(ctx context.Context, b *bench, program box.Program, inside *box.Box, c *client, n int) error {
	for _, m := range []struct {
		name   string
		change bool
	}{{"daemon-reload, nothing changed", false}, {"daemon-reload, one file changed", true}} {
		var times []time.Duration
		for i := range reloads {
			if m.change {
				path := inside.Path(unitDir + kindNamed("simple").unitName(i))
				text, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				changed := strings.Replace(string(text), "Description=", "Description=changed ", 1)
				if err := os.WriteFile(path, []byte(changed), 0o644); err != nil {
					return err
				}
			}
			began := time.Now()
			if err := c.call(ctx, "Reload").Err; err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
			times = append(times, time.Since(began))
		}
		if m.change {
			if err := checkReloaded(ctx, c); err != nil {
				return err
			}
		}
		b.results.add(m.name, n, program.Name, milliseconds, ms(percentile(times, 50)))
	}
	return nil
}

// checkReloaded makes sure that a fast reload did reload.
func checkReloaded(ctx context.Context, c *client) error {
	for i := range reloads {
		unit := kindNamed("simple").unitName(i)
		value, err := c.get(ctx, unitPath(unit), service+".Unit", "Description")
		if err != nil {
			return err
		}
		if text, ok := value.Value().(string); !ok || !strings.HasPrefix(text, "changed ") {
			return fmt.Errorf("reload: %s still has the description %v", unit, value)
		}
	}
	return nil
}

// jobSamples is how many starts and stops the percentiles are of, beforeSamples how many are made where no other units are loaded.
const (
	jobSamples    = 200
	beforeSamples = 100
)

// jobTime bounds the samples where one start takes very long.
const jobTime = 8 * time.Second

// jobKinds are the units that are started and stopped one at a time.
var jobKinds = []string{"simple", "oneshot", "notify"}

// samples are the times of single jobs.
type samples struct{ starts, stops []time.Duration }

// jobTimes starts and stops each of the probes, on a connection of its own.
func jobTimes(ctx context.Context, inside *box.Box, count int) (map[string]samples, error) {
	c, err := connect(ctx, inside)
	if err != nil {
		return nil, err
	}
	defer c.close()
	if err := c.subscribe(ctx); err != nil {
		return nil, err
	}
	all := map[string]samples{}
	for _, name := range jobKinds {
		unit := "probe-" + name + ".service"
		var s samples
		for began := time.Now(); len(s.starts) < count && time.Since(began) < jobTime; {
			start, err := c.job(ctx, "StartUnit", unit)
			if err != nil {
				return nil, err
			}
			stop, err := c.job(ctx, "StopUnit", unit)
			if err != nil {
				return nil, err
			}
			s.starts, s.stops = append(s.starts, start), append(s.stops, stop)
		}
		all[name] = s
	}
	return all, nil
}

// jobsAlone measures the probes in a boot where nothing else is loaded.
func jobsAlone(ctx context.Context, b *bench, program box.Program) (map[string]samples, error) {
	files := map[string]box.File{}
	for name, content := range probeUnits {
		files[unitDir+name] = box.File{Content: content}
	}
	inside, c, err := b.bootEmpty(ctx, program, files)
	if err != nil {
		return nil, err
	}
	defer stopBox(inside, c)
	return jobTimes(ctx, inside, beforeSamples)
}

// measureJobs is about single jobs beside N loaded units, compared with those that were alone.
func measureJobs(ctx context.Context, b *bench, program box.Program, inside *box.Box, alone map[string]samples, n int) error {
	beside, err := jobTimes(ctx, inside, jobSamples)
	if err != nil {
		return err
	}
	for _, name := range jobKinds {
		s := beside[name]
		b.results.add("start one "+name+", p50", n, program.Name, milliseconds, ms(percentile(s.starts, 50)))
		b.results.add("start one "+name+", p99", n, program.Name, milliseconds, ms(percentile(s.starts, 99)))
		if before := percentile(alone[name].starts, 50); before > 0 {
			b.results.add("start one "+name+", N loaded to none, p50", n, program.Name, times, float64(percentile(s.starts, 50))/float64(before))
		}
		if name == "simple" {
			b.results.add("stop one simple, p50", n, program.Name, milliseconds, ms(percentile(s.stops, 50)))
			b.results.add("stop one simple, p99", n, program.Name, milliseconds, ms(percentile(s.stops, 99)))
		}
	}
	return nil
}
