package install

import (
	"errors"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
)

// The recording has what `systemctl --root=` of systemd 257 did to 300 random trees. To make it anew: run the tests with -install.cases=DIR, run
// DIR/run (where systemctl is that of 257, with DIR at the same path), then the tests with -install.collect=DIR.
var (
	casesDir   = flag.String("install.cases", "", "write the random cases to this directory")
	collectDir = flag.String("install.collect", "", "collect what systemctl did to the cases in this directory")
)

const (
	recordedCases = 300
	recording     = "testdata/systemctl.txt"
)

// randomCase is a tree of unit files, links and presets, and operations on it.
type randomCase struct {
	files map[string]string // path to content
	links map[string]string
	ops   []operation
}

type operation struct {
	verb           string
	args           []string
	runtime, force bool
	mode           string
}

func (o operation) command() string {
	words := []string{o.verb}
	if o.runtime {
		words = append(words, "--runtime")
	}
	if o.force {
		words = append(words, "--force")
	}
	if o.mode != "" {
		words = append(words, "--preset-mode="+o.mode)
	}
	return strings.Join(append(words, o.args...), " ")
}

var caseUnits = []string{"a.service", "b.service", "c.socket", "t@.service", "u.target", "d.timer", "e.mount", "w@.socket"}

// makeCase is the case of a number: the same at any time.
func makeCase(n int) randomCase {
	r := rand.New(rand.NewSource(int64(n)))
	pick := func(list ...string) string { return list[r.Intn(len(list))] }
	c := randomCase{files: map[string]string{}, links: map[string]string{}}
	dir := func() string {
		return pick("/usr/lib/systemd/system", "/usr/lib/systemd/system", "/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system")
	}
	install := func(name string) string {
		var b strings.Builder
		b.WriteString("[Install]\n")
		suffix := name[strings.LastIndexByte(name, '.'):]
		for i := r.Intn(4); i > 0; i-- {
			switch r.Intn(8) {
			case 0, 1, 2:
				fmt.Fprintf(&b, "WantedBy=%s\n", pick("multi-user.target", "u.target", "x.target y.target", "a.service", "t@.service", "p-%p.target", "s-%i.target"))
			case 3:
				fmt.Fprintf(&b, "RequiredBy=%s\n", pick("multi-user.target", "u.target", "t@z.service"))
			case 4:
				fmt.Fprintf(&b, "UpheldBy=%s\n", pick("multi-user.target", "b.service"))
			case 5:
				fmt.Fprintf(&b, "Alias=%s\n", pick("alias"+suffix, "alias@"+suffix, "other.path", "a"+suffix, "%p-alias"+suffix, "alias@i"+suffix))
			case 6:
				fmt.Fprintf(&b, "Also=%s\n", pick(caseUnits...))
			case 7:
				fmt.Fprintf(&b, "DefaultInstance=%s\n", pick("one", "two", ""))
			}
		}
		return b.String()
	}
	for _, name := range caseUnits {
		if r.Intn(5) == 0 {
			continue
		}
		c.files[dir()+"/"+name] = "[Unit]\nDescription=x\n" + install(name)
		if r.Intn(5) == 0 {
			c.files[pick("/etc", "/run")+"/systemd/system/"+name+".d/"+pick("x", "y")+".conf"] = install(name)
		}
	}
	c.files["/opt/linked.service"] = "[Service]\n" + install("linked.service")
	c.files["/usr/lib/systemd/system/multi-user.target"] = "[Unit]\n"
	for _, p := range []string{"/usr/lib/systemd/system-preset/50-x.preset", "/etc/systemd/system-preset/" + pick("10", "60") + "-y.preset"} {
		var b strings.Builder
		for i := r.Intn(4); i > 0; i-- {
			fmt.Fprintf(&b, "%s %s\n", pick("enable", "enable", "disable", "ignore"), pick("a.service", "*.socket", "t@.service i j", "t@.service", "*", "[ab].*", "d.timer"))
		}
		c.files[p] = b.String()
	}
	at := func(p string) string { return pick("/etc", "/run") + "/systemd/system/" + p }
	for i := r.Intn(3); i > 0; i-- {
		path, target := at(pick(caseUnits...)), "/dev/null"
		switch r.Intn(5) {
		case 0:
			path, target = at("multi-user.target.wants/"+pick(caseUnits...)), "/usr/lib/systemd/system/"+pick(caseUnits...)
		case 1:
			path, target = at("linked.service"), "/opt/linked.service"
		case 2:
			path, target = at("x.target.wants/t@"+pick("one", "i")+".service"), "/usr/lib/systemd/system/t@.service"
		case 3:
			path, target = at("alias.service"), "/usr/lib/systemd/system/"+pick("a.service", "b.service")
		}
		if _, taken := c.files[path]; !taken {
			c.links[path] = target
		}
	}
	for i := 1 + r.Intn(3); i > 0; i-- {
		c.ops = append(c.ops, randomOperation(r, pick))
	}
	return c
}

func randomOperation(r *rand.Rand, pick func(...string) string) operation {
	unit := func() string {
		return pick(append([]string{"t@k.service", "t@one.service", "nosuch.service", "linked.service", "w@q.socket"}, caseUnits...)...)
	}
	o := operation{verb: pick("enable", "enable", "enable", "disable", "disable", "reenable", "preset", "preset-all", "mask", "unmask", "link", "revert", "add-wants", "add-requires", "set-default"),
		runtime: r.Intn(4) == 0, force: r.Intn(4) == 0}
	switch o.verb {
	case "preset-all":
		o.mode = pick("full", "enable-only", "disable-only")
	case "preset":
		o.mode, o.args = pick("full", "enable-only", "disable-only"), []string{unit()}
	case "link":
		o.args = []string{pick("/opt/linked.service", "/opt/nosuch.service", "/usr/lib/systemd/system/a.service")}
	case "add-wants", "add-requires":
		o.args = []string{pick("multi-user.target", "u.target", "nosuch.target"), unit()}
	case "set-default":
		o.args, o.runtime = []string{pick("u.target", "multi-user.target", "nosuch.target")}, false
	case "revert":
		o.args, o.runtime, o.force = []string{unit()}, false, false
	default:
		o.args = []string{unit()}
		if r.Intn(3) == 0 {
			o.args = append(o.args, unit())
		}
		if o.verb == "enable" && r.Intn(6) == 0 {
			o.args = []string{"/opt/linked.service"}
		}
	}
	return o
}

// write makes the tree of a case in root.
func (c *randomCase) write(t *testing.T, root string) {
	t.Helper()
	for path, text := range c.files {
		if err := os.MkdirAll(filepath.Dir(root+path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(root+path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for path, target := range c.links {
		if err := os.MkdirAll(filepath.Dir(root+path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, root+path); err != nil {
			t.Fatal(err)
		}
	}
}

// tree lists what operations change: links with their targets, and files, of the two directories.
func tree(root string) string {
	var out []string
	for _, dir := range []string{"/etc/systemd/system", "/run/systemd/system"} {
		_ = filepath.WalkDir(root+dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return nil
			}
			line := strings.TrimPrefix(path, root)
			if target, err := os.Readlink(path); err == nil {
				line += " -> " + absoluteTarget(root, path, target)
			}
			out = append(out, line)
			return nil
		})
	}
	sort.Strings(out)
	return strings.Join(out, "\n")
}

// absoluteTarget: some links are made relative; where they lead to is what counts.
func absoluteTarget(root, path, target string) string {
	if !filepath.IsAbs(target) {
		target = filepath.Join(filepath.Dir(path), target)
	}
	return strings.TrimPrefix(target, root)
}

// apply carries an operation out as systemctl does without a manager.
func (o operation) apply(p Paths) error {
	var plan Plan
	var err error
	switch o.verb {
	case "enable":
		plan, err = PlanEnable(p, o.args, o.runtime, o.force)
	case "disable":
		plan, err = PlanDisable(p, o.args, o.runtime)
	case "reenable":
		plan, err = PlanReenable(p, o.args, o.runtime, o.force)
	case "preset":
		plan, err = PlanPreset(p, o.args, o.mode, o.runtime, o.force)
	case "preset-all":
		plan, err = PlanPresetAll(p, o.mode, o.runtime, o.force)
	case "mask":
		plan, err = PlanMask(p, o.args, o.runtime, o.force)
	case "unmask":
		plan, err = PlanUnmask(p, o.args, o.runtime)
	case "link":
		plan, err = PlanLink(p, o.args, o.runtime, o.force)
	case "revert":
		plan, err = PlanRevert(p, o.args)
	case "add-wants", "add-requires":
		plan, err = PlanDependency(p, o.args[1:], o.args[0], strings.TrimPrefix(o.verb, "add-"), o.runtime, o.force)
	case "set-default":
		plan, err = PlanDefault(p, o.args[0], true)
	}
	if err == nil {
		_, err = Apply(p, plan)
	}
	if o.verb == "disable" && errors.Is(err, ErrNotFound) {
		return nil // there is nothing to disable: the tool only says so
	}
	return err
}

// searchPath is that of the system manager, without the control and transient directories nothing here is in.
var searchPath = []string{"/etc/systemd/system.control", "/run/systemd/system.control", "/run/systemd/transient", "/run/systemd/generator.early", "/etc/systemd/system", "/etc/systemd/system.attached",
	"/run/systemd/system", "/run/systemd/system.attached", "/run/systemd/generator", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/run/systemd/generator.late"}

// otherwise are the cases that differ on purpose.
//
// DEVIATION: `reenable` heeds [Install] in drop-ins of the unit, as `enable` does; systemctl --root= of 257 leaves them out.
// DEVIATION: `preset-all` makes the instances that a preset names for a template.
var otherwise = map[int]string{
	90: "reenable with a drop-in", 167: "reenable with a drop-in", 260: "reenable with a drop-in", 288: "reenable with a drop-in", 84: "instances of a preset", 126: "reenable of what Also= names",
}

func TestRecordedOperations(t *testing.T) {
	if *casesDir != "" {
		writeCases(t, *casesDir)
		return
	}
	if *collectDir != "" {
		collectCases(t, *collectDir)
	}
	b, err := os.ReadFile(recording)
	if err != nil {
		t.Fatal(err)
	}
	cases := strings.Split(strings.TrimPrefix(string(b), "== "), "\n== ")
	if len(cases) != recordedCases {
		t.Fatalf("%d cases are recorded, want %d", len(cases), recordedCases)
	}
	failed := 0
	for n, text := range cases {
		if otherwise[n] != "" {
			continue
		}
		if got := runCase(t, n); got != text && got != strings.TrimSuffix(text, "\n") {
			if failed++; failed < 300 {
				t.Errorf("case %d: %s", n, difference(got, text))
			}
		}
	}
	if failed > 0 {
		t.Errorf("%d of %d cases differ", failed, recordedCases)
	}
}

// difference shows the lines that only one text has.
func difference(got, want string) string {
	count := map[string]int{}
	for _, l := range strings.Split(strings.TrimSpace(got), "\n") {
		count[l]++
	}
	for _, l := range strings.Split(strings.TrimSpace(want), "\n") {
		count[l]--
	}
	var out []string
	for l, n := range count {
		if n > 0 {
			out = append(out, "only got:  "+l)
		} else if n < 0 {
			out = append(out, "only want: "+l)
		}
	}
	sort.Strings(out)
	return strings.Join(out, "\n")
}

// runCase gives what the recording has of a case: each operation with ok or failed, the tree after it, and the state of each unit at the end.
func runCase(t *testing.T, n int) string {
	c := makeCase(n)
	root := t.TempDir()
	c.write(t, root)
	p := SystemPaths(root, searchPath)
	var b strings.Builder
	fmt.Fprintf(&b, "%d\n", n)
	for _, o := range c.ops {
		word := "ok"
		if err := o.apply(p); err != nil {
			word = "failed"
		}
		fmt.Fprintf(&b, "%s: %s\n%s\n", o.command(), word, tree(root))
	}
	links := ReadLinks(p)
	for _, u := range append([]string{"t@one.service", "linked.service", "alias.service"}, caseUnits...) {
		state, _ := links.State(u)
		fmt.Fprintf(&b, "%s %s\n", u, state)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func writeCases(t *testing.T, dir string) {
	var run strings.Builder
	run.WriteString("#!/bin/bash\ncd \"$(dirname \"$0\")\"\n")
	for n := 0; n < recordedCases; n++ {
		c := makeCase(n)
		root := fmt.Sprintf("%s/%d/root", dir, n)
		c.write(t, root)
		for i, o := range c.ops {
			fmt.Fprintf(&run, "systemctl --root=$PWD/%d/root %s 2>%d/err%d && echo ok >%d/op%d || echo failed >%d/op%d; cp -a %d/root %d/after%d\n", n, o.command(), n, i, n, i, n, i, n, n, i)
		}
		for _, u := range append([]string{"t@one.service", "linked.service", "alias.service"}, caseUnits...) {
			fmt.Fprintf(&run, "s=$(systemctl --root=$PWD/%d/root is-enabled %s 2>/dev/null) || true; echo \"%s ${s:-bad}\" >>%d/states\n", n, u, u, n)
		}
	}
	if err := os.WriteFile(dir+"/run", []byte(run.String()), 0o755); err != nil {
		t.Fatal(err)
	}
}

func collectCases(t *testing.T, dir string) {
	var out strings.Builder
	for n := 0; n < recordedCases; n++ {
		at := fmt.Sprintf("%s/%d/", dir, n)
		fmt.Fprintf(&out, "== %d\n", n)
		for i, o := range makeCase(n).ops {
			word, err := os.ReadFile(fmt.Sprintf("%sop%d", at, i))
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&out, "%s: %s\n%s\n", o.command(), strings.TrimSpace(string(word)), tree(fmt.Sprintf("%safter%d", at, i)))
		}
		states, err := os.ReadFile(at + "states")
		if err != nil {
			t.Fatal(err)
		}
		out.Write(states)
	}
	if err := os.WriteFile(recording, []byte(out.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
