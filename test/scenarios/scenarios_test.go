// Package scenarios runs the behaviour scenarios, test/scenarios/NAME/, inside
// a namespace container, on real systemd and on muster: each is a directory of
// unit files (units/) and one script, see lib.sh for its helpers.
//
//	go test ./test/scenarios -init=systemd,muster -run TestScenarios/NAME
//
// Scenarios share one boot per init; one with a file named `boot` gets its own.
// When the manager is not as before after a scenario, or PID 1 died, the next
// one gets a fresh boot, so one failure doesn't spoil the rest.
package scenarios

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/muster-init/muster/test/container/box"
	"github.com/muster-init/muster/test/root"
)

var (
	initNames = flag.String("init", "systemd,muster", "inits to run on, comma separated: systemd, muster")
	rootName  = flag.String("root", "trixie", "prepared root to run in")
)

// oneTimeout bounds one try of a scenario, with its boot; none takes more than a few seconds on a machine of its own.
const oneTimeout = 4 * time.Minute

// tries bounds how often a scenario that fails is run again.
const tries = 3

// harness boots one init and runs scenarios in it.
type harness struct {
	program box.Program
	root    string
	tools   string // directory of the programs the scenarios use
	dir     string // test/scenarios
	shared  *box.Box
	// degraded lists what of the root's own units has failed at boot.
	degraded string
	passed   int
	failed   []string
	shaky    []string // passed at a later try only
	known    []string // fail because of what is missing, with the reason
}

// summary is what stands at the end of the output.
var summary []string

func TestMain(m *testing.M) {
	code := m.Run()
	for _, line := range summary {
		fmt.Println(line)
	}
	os.Exit(code)
}

func TestScenarios(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("the scenarios boot an init in namespaces and need root: run `sudo make test`, or `make unit` without them")
	}
	names := scenarioNames(t)
	tools := buildTools(t)
	spec, err := root.Find(*rootName)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := spec.Prepare(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Split(*initNames, ",") {
		h := &harness{root: dir, tools: tools}
		h.dir, _ = filepath.Abs(".")
		repository, err := box.Repository()
		if err != nil {
			t.Fatal(err)
		}
		if h.program, err = box.FindProgram(t.Context(), name, repository); err != nil {
			t.Fatal(err)
		}
		h.runAll(t, names)
	}
}

func (h *harness) runAll(t *testing.T, names []string) {
	began := time.Now()
	defer h.stopShared(t)
	for _, name := range names {
		// With one init the subtest is just the scenario's name.
		title := name
		if strings.Contains(*initNames, ",") {
			title = h.program.Name + "/" + name
		}
		ran := false
		ok := t.Run(title, func(t *testing.T) {
			ran = true
			h.runOne(t, name)
		})
		switch {
		case ran && ok && !h.isKnown(name):
			h.passed++
		case ran && !ok:
			h.failed = append(h.failed, name)
		}
	}
	h.summarize(time.Since(began))
}

// summarize notes what TestMain prints behind the long list of the tests.
func (h *harness) summarize(took time.Duration) {
	say := func(format string, args ...any) { summary = append(summary, fmt.Sprintf(format, args...)) }
	say("scenarios on %s: %d passed, %d failed, in %.0f s", h.program.Name, h.passed, len(h.failed), took.Seconds())
	if h.degraded != "" {
		say("    %s booted degraded: %s", h.program.Name, h.degraded)
	}
	for _, name := range h.shaky {
		say("    only at a later try on %s: %s", h.program.Name, name)
	}
	for _, text := range h.known {
		say("    not there yet on %s: %s", h.program.Name, text)
	}
	for _, name := range h.failed {
		say("    failed on %s: %s", h.program.Name, name)
	}
}

// runOne gives a scenario up to three tries, each after the first on a boot of its own: machines are shared and noisy, on systemd's side too. What
// needed more than one is said in the end.
func (h *harness) runOne(t *testing.T, name string) {
	own, err := readOwnBoot(filepath.Join(h.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	missing := h.missing(name)
	for try := 1; ; try++ {
		var failure string
		if own != nil {
			failure = h.runOwn(t, name, own)
		} else {
			failure = h.runShared(t, name)
		}
		switch {
		case failure == "" && missing != "":
			t.Errorf("%s passes on %s now: remove its file \"missing\"", name, h.program.Name)
			return
		case failure == "":
			if try > 1 {
				h.shaky = append(h.shaky, name)
			}
			return
		case missing != "":
			h.known = append(h.known, name+": "+missing)
			h.stopShared(t)
			return
		case try == tries:
			t.Errorf("%s on %s: %s", name, h.program.Name, failure)
			h.stopShared(t)
			return
		}
		t.Logf("%s on %s failed at try %d: %s", name, h.program.Name, try, failure)
		h.stopShared(t)
		time.Sleep(time.Duration(try) * time.Second) // what disturbed it may pass
	}
}

// runShared is one try of a scenario on the boot that many share: what failed, or nothing.
func (h *harness) runShared(t *testing.T, name string) string {
	ctx, cancel := context.WithTimeout(t.Context(), oneTimeout)
	defer cancel()
	if h.shared == nil {
		var err error
		if h.shared, err = h.boot(ctx, t, nil, &ownBoot{}); err != nil {
			return err.Error()
		}
	}
	result, err := h.shared.Exec(ctx, "/bin/bash", "/scenarios/run-one", name)
	if err == nil && result.Code == 0 {
		return ""
	}
	return failureText(h.shared, result, err)
}

func (h *harness) isKnown(name string) bool {
	for _, k := range h.known {
		if strings.HasPrefix(k, name+": ") {
			return true
		}
	}
	return false
}

// missing is why muster can't pass a scenario yet: the first line of its file "missing". A scenario that has one must fail on muster, so that the
// file doesn't outlive the gap.
func (h *harness) missing(name string) string {
	if h.program.Name != "muster" {
		return ""
	}
	text, err := os.ReadFile(filepath.Join(h.dir, name, "missing"))
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}

// runOwn is one try of a scenario that boots for itself and looks at how PID 1 ends: what failed, or nothing.
func (h *harness) runOwn(t *testing.T, name string, own *ownBoot) string {
	ctx, cancel := context.WithTimeout(t.Context(), oneTimeout)
	defer cancel()
	files, err := unitFiles(filepath.Join(h.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	b, err := h.boot(ctx, t, files, own)
	if err != nil {
		return err.Error()
	}
	defer stop(t, b)
	result, err := b.Exec(ctx, "/bin/bash", "/scenarios/run-one", name, "own")
	// A script that ends the system may be killed before it is done.
	cut := own.end != "" && err == nil && result.Code > 128
	if err != nil || (result.Code != 0 && !cut) {
		return failureText(b, result, err)
	}
	if own.end != "" {
		status, err := b.Wait(ctx)
		if err != nil || status.String() != own.end {
			return fmt.Sprintf("want PID 1 %s, got %v, %v\n%s", own.end, status, err, lastLines(b.Console(), 40))
		}
	}
	for _, text := range own.absent {
		if strings.Contains(b.Console(), text) {
			return fmt.Sprintf("the console has %q:\n%s", text, lastLines(b.Console(), 60))
		}
	}
	// While PID 1 lives, what it has written comes when its reader has a turn.
	for began := time.Now(); own.consoleMisses(b.Console()) != "" && !ended(b) && time.Since(began) < 10*time.Second; {
		time.Sleep(50 * time.Millisecond)
	}
	if want := own.consoleMisses(b.Console()); want != "" {
		return fmt.Sprintf("the console has no %q in its place:\n%s", want, lastLines(b.Console(), 60))
	}
	return ""
}

// failureText is what a script left: its status and last lines, with the console if PID 1 is gone.
func failureText(b *box.Box, result box.Result, err error) string {
	var console string
	if ended(b) {
		console = "\nPID 1 is gone; console:\n" + lastLines(b.Console(), 40)
	}
	return fmt.Sprintf("exit status %d, %v\n%s%s%s", result.Code, err, lastLines(result.Stdout, 20), lastLines(result.Stderr, 20), console)
}

// boot starts the init with a default.target that only reaches basic.target: the
// scenarios bring their own units.
func (h *harness) boot(ctx context.Context, t *testing.T, units map[string]box.File, own *ownBoot) (*box.Box, error) {
	t.Helper()
	files := box.Identity()
	files["/etc/systemd/system/default.target"] = box.File{Link: "scenarios.target"}
	files["/etc/systemd/system/scenarios.target"] = box.File{Content: `[Unit]
Description=Ready for scenarios
Requires=basic.target
After=basic.target
AllowIsolate=yes
`}
	for path, file := range units {
		files[path] = file
	}
	dir := h.root
	if own.root != "" {
		spec, err := root.Find(own.root)
		if err != nil {
			t.Fatal(err)
		}
		if dir, err = spec.Prepare(t.Context(), os.Stderr); err != nil {
			t.Fatal(err)
		}
	}
	b, err := box.Start(box.Options{
		Root: dir, Init: h.program.Path, Args: append(append([]string{}, h.program.Args...), own.args...), Files: files, Replies: own.replies,
		Binds: append([]box.Bind{
			{Source: h.dir, Target: "/scenarios"},
			{Source: filepath.Join(h.tools, "payload"), Target: "/usr/local/bin/payload"},
			{Source: filepath.Join(h.tools, "busprobe"), Target: "/usr/local/bin/busprobe"},
			{Source: filepath.Join(h.tools, "musterctl"), Target: "/usr/local/bin/musterctl"},
		}, h.program.Binds...),
	})
	if err != nil {
		return nil, err
	}
	state, err := b.WaitRunning(ctx, h.program.Ctl)
	reached := err == nil && (state == own.state || (own.state == "" && (state == "running" || state == "degraded")))
	if reached && (state == "running" || own.state != "") {
		return b, nil
	}
	failed, _ := b.Exec(ctx, h.program.Ctl, "list-units", "--failed", "--plain", "--no-legend")
	if reached {
		// The scenarios that need what has failed will tell.
		h.degraded = strings.TrimSpace(failed.Stdout)
		return b, nil
	}
	console := lastLines(b.Console(), 60)
	stop(t, b)
	return nil, fmt.Errorf("no boot: want state %q, got %q, %v\n%s\n%s", own.state, state, err, failed.Stdout, console)
}

func ended(b *box.Box) bool {
	select {
	case <-b.Done():
		return true
	default:
		return false
	}
}

func (h *harness) stopShared(t *testing.T) {
	if h.shared != nil {
		stop(t, h.shared)
		h.shared = nil
	}
}

func stop(t *testing.T, b *box.Box) {
	t.Helper()
	if err := b.Stop(); err != nil {
		t.Error(err)
	}
}

// scenarioNames are the directories with a script.
func scenarioNames(t *testing.T) []string {
	scripts, err := filepath.Glob("*/script")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	var names []string
	for _, script := range scripts {
		names = append(names, filepath.Dir(script))
	}
	sort.Strings(names)
	return names
}

// buildTools builds the payload of the units and the D-Bus client.
func buildTools(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-tags", "godbus_no_tcp", "-o", dir+"/", "../payload", "../busprobe", "../../cmd/musterctl")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the tools: %v\n%s", err, out)
	}
	return dir
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(strings.ReplaceAll(text, "\r", "")), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	if len(lines) == 1 && lines[0] == "" {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}
