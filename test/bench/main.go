// Command bench measures muster beside the real systemd of the same Debian
// root, in one run on one machine: `make bench`.
//
//	bench [-init "systemd muster"] [-n "100 1000"] [-only WORD] [-all] [-root NAME]
//
// Every measurement boots its own namespace container with nothing in it but
// the units measured: no journal, no generators, a payload of a few system
// calls (see tiny.go). Figures are wall time unless a row says otherwise; the
// ratio column is the first init divided by the last one for what should be
// small, and the last by the first for rates, so above 1 is better. The last
// column is what was to be reached (see targets.go).
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/muster-init/muster/test/container/box"
	"github.com/muster-init/muster/test/root"
)

// bench is one run of the program.
type bench struct {
	root    string
	tiny    string // host directory of the payloads
	only    string
	all     bool // also what takes systemd many minutes
	results *report
}

// measurement is one group of figures for one init and one N.
type measurement struct {
	name string
	max  int // largest N it is done for; the crash loop is done for this one only
	only bool
	run  func(context.Context, *bench, box.Program, int) error
}

var measurements = []measurement{
	{name: "start", max: 5000, run: measureStart},
	{name: "running", max: 5000, run: measureRunning},
	{name: "loaded", max: 10000, run: measureLoaded},
	{name: "hardened", max: 1000, run: measureHardened},
	{name: "timer", max: 10000, run: measureTimers},
	{name: "mount", max: 2000, run: measureMounts},
	{name: "socket", max: 16000, run: measureSocket},
	{name: "device", max: 5000, run: measureDevices},
	{name: "crashloop", max: 1000, only: true, run: measureCrashLoop},
}

// oneTimeout bounds one measurement; the slowest known is systemd with 5,000
// running services.
const oneTimeout = 15 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "bench: error: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	inits := flag.String("init", "systemd muster", "inits to measure")
	sizes := flag.String("n", "100 1000", "numbers of units")
	only := flag.String("only", "", "only the measurements whose name contains this: floor, start, running, loaded, hardened, timer, mount, socket, device, crashloop")
	all := flag.Bool("all", false, "also what takes systemd many minutes: every kind of unit at N >= 5000")
	rootName := flag.String("root", "trixie", "prepared root")
	flag.Parse()
	if os.Geteuid() != 0 {
		return fmt.Errorf("this needs root, for namespaces and cgroups: run `sudo make bench`")
	}
	names := strings.Fields(*inits)
	spec, err := root.Find(*rootName)
	if err != nil {
		return err
	}
	b := &bench{only: *only, all: *all, results: newReport(names)}
	if b.root, err = spec.Prepare(ctx, os.Stderr); err != nil {
		return err
	}
	if b.tiny, err = os.MkdirTemp("", "muster-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.tiny)
	if err := os.Chmod(b.tiny, 0o755); err != nil {
		return err
	}
	if err := writeTiny(b.tiny); err != nil {
		return err
	}
	programs, err := findPrograms(ctx, names)
	if err != nil {
		return err
	}
	// Also after an interrupt: what was measured is shown.
	defer b.results.print(os.Stdout)
	for _, text := range strings.Fields(*sizes) {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return fmt.Errorf("-n %q: not a number of units", text)
		}
		if err := b.size(ctx, programs, n); err != nil {
			return err
		}
	}
	return nil
}

func findPrograms(ctx context.Context, names []string) ([]box.Program, error) {
	repository, err := box.Repository()
	if err != nil {
		return nil, err
	}
	var programs []box.Program
	for _, name := range names {
		program, err := box.FindProgram(ctx, name, repository)
		if err != nil {
			return nil, err
		}
		programs = append(programs, program)
	}
	return programs, nil
}

// size does all measurements for one N, the inits right after one another so
// that they see the same state of the machine.
func (b *bench) size(ctx context.Context, programs []box.Program, n int) error {
	if strings.Contains("floor", b.only) || strings.Contains("start", b.only) {
		if err := measureFloor(b, n); err != nil {
			return err
		}
	}
	for _, m := range measurements {
		if n > m.max || (m.only && n != m.max) || !strings.Contains(m.name, b.only) {
			continue
		}
		for _, program := range programs {
			fmt.Fprintf(os.Stderr, "%s, N=%d, %s\n", m.name, n, program.Name)
			within, cancel := context.WithTimeout(ctx, oneTimeout)
			err := m.run(within, b, program, n)
			cancel()
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				// The other figures are still worth having.
				b.results.fail(m.name, n, program.Name, err)
				fmt.Fprintf(os.Stderr, "  failed: %v\n", err)
			}
		}
	}
	return nil
}
