package tidy

import (
	"fmt"
	"strconv"
	"strings"
)

// layer says which of our packages a package may import. The first row whose pattern matches a directory counts.
type layer struct {
	dir    string   // pattern
	ours   []string // patterns
	reason string
}

// layers is the picture of docs/ARCHITECTURE.md as data. Tests may import more.
var layers = []layer{
	{"pkg/unit/value", nil, "leaf grammars: text in, plain values out, so that anything may use them"},
	{"pkg/unit", []string{"pkg/unit/value"}, "the unit language knows nothing of who loads units and what becomes of them"},
	{"pkg/depend", []string{"pkg/unit/..."}, "dependencies are a function of configuration"},
	{"pkg/job", nil, "names and tables only: the client uses them too"},
	{"pkg/engine/machine", []string{"pkg/unit/...", "pkg/job"}, "the contract between engine, machines and shell has no side to lean to"},
	{"pkg/engine/control", []string{"pkg/engine/machine", "pkg/unit/...", "pkg/job"}, "shared by the machines, below all of them"},
	{"pkg/engine/enginetest", []string{"pkg/engine/...", "pkg/depend", "pkg/unit/...", "pkg/job"}, "the simulator sees what the shell sees, nothing of the kernel"},
	{"pkg/engine", []string{"pkg/engine/...", "pkg/depend", "pkg/unit/...", "pkg/job"}, "pure: not loader, not kernel; units come through the Source interface"},
	{"pkg/engine/...", []string{"pkg/engine/machine", "pkg/engine/control", "pkg/unit/...", "pkg/job"},
		"a unit type knows its own state only; what other units do reaches it as an event, a trigger or an edge"},
	{"pkg/execplan/...", []string{"pkg/execplan/...", "pkg/unit/...", "pkg/engine/machine"}, "pure: a plan is made from configuration, carried out elsewhere"},
	{"pkg/kernel/...", []string{"pkg/kernel/..."}, "thin readers and writers without policy: no unit, job or plan in them"},
	{"pkg/cgroup/bpf", nil, "programs and their attachments: which unit gets which is the manager's"},
	{"pkg/cgroup", []string{"pkg/kernel/..."}, "attributes and paths, not directives: what a directive means is the manager's"},
	{"pkg/listen", []string{"pkg/unit/...", "pkg/kernel/..."}, "opens what a configuration says; when, and who gets it, is the engine's"},
	{"pkg/notify", nil, "a codec, usable by a service as well"},
	{"pkg/journal", []string{"pkg/kernel"}, "a codec and sockets; which message is written when is the manager's"},
	{"pkg/bus", nil, "transport: it moves values and knows no unit"},
	{"pkg/varlink", nil, "transport: it moves JSON and knows no unit"},
	{"pkg/loader", []string{"pkg/unit/...", "pkg/kernel/reach"}, "files to configuration; it never asks the manager"},
	{"pkg/install", []string{"pkg/unit/...", "pkg/loader"}, "works on a tree of files, with no manager running too"},
	{"pkg/generator/program", []string{"pkg/generator/...", "pkg/unit/...", "pkg/kernel/facts"}, "the outside of our generators: it reads the machine and writes files"},
	{"pkg/generator/...", []string{"pkg/generator/output", "pkg/generator/cmdline", "pkg/generator/device", "pkg/unit/..."}, "a generator of ours is a function from texts to files"},
	{"pkg/generator", []string{"pkg/unit/..."}, "which generators there are and what they get; running them is the manager's"},
	{"pkg/condition", []string{"pkg/unit/...", "pkg/kernel/facts", "pkg/cgroup"}, "asks the machine, never the manager"},
	{"pkg/spawn", []string{"pkg/execplan/plan", "pkg/kernel/..."}, "carries out a plan: what the plan means was decided before"},
	{"pkg/image", []string{"pkg/unit/value"}, "what is in a disk image and how it is mounted; which unit wants it is the executor's"},
	{"pkg/image/signature", []string{"pkg/kernel/facts"}, "who signed a root hash: certificates and their arithmetic, for one program that is rarely started"},
	{"pkg/sandbox", []string{"pkg/execplan/plan", "pkg/execplan/seccomp", "pkg/kernel/...", "pkg/spawn", "pkg/image", "pkg/cgroup/bpf", "pkg/unit/value"},
		"linked into the executor, which is started on the way to every confined service: each package costs start-up time"},
	{"pkg/busapi", []string{"pkg/bus", "pkg/engine/...", "pkg/unit/...", "pkg/job", "pkg/install", "pkg/loader", "pkg/kernel/...", "pkg/cgroup", "pkg/journal", "pkg/execplan/seccomp"},
		"objects for the bus; it reaches the manager through its Backend interface only"},
	{"pkg/ctl/...", []string{"pkg/ctl/...", "pkg/bus", "pkg/unit/...", "pkg/job", "pkg/install", "pkg/loader", "pkg/notify", "pkg/journal", "pkg/condition", "pkg/kernel/facts", "pkg/execplan/seccomp", "pkg/depend", "pkg/generator", "pkg/cgroup"},
		"a client: what the manager knows it learns over the bus, so it works against systemd as well"},
	{"pkg/manager/statelog", nil, "must be readable by an image of another version: plain bytes"},
	{"pkg/manager/...", []string{"pkg/..."}, "the shell joins everything; the rows below say what it must not join"},
	{"cmd/muster", []string{"pkg/manager", "pkg/kernel/rawsig/early"}, "mains only read arguments"},
	{"cmd/muster-executor", []string{"pkg/sandbox"}, "mains only read arguments"},
	{"cmd/musterctl", []string{"pkg/ctl"}, "mains only read arguments"},
	{"cmd/muster-verity", []string{"pkg/image/signature"}, "mains only read arguments"},
	{"cmd/muster-generator", []string{"pkg/generator/program"}, "mains only read arguments"},
	{"cmd/...", []string{"pkg/..."}, "helper programs join what they need; the rows below still hold"},
	{"internal/tidy", nil, "judges the others, so it needs none of them"},
	{"internal/docs", []string{"internal/tidy", "pkg/unit/...", "pkg/ctl"}, "pages are derived from the tables"},
	{"test/...", []string{"test/...", "pkg/kernel", "pkg/unit/...", "pkg/job", "pkg/bus"}, "programs of the tests see muster from outside, as a person does"},
}

// ban forbids an import to packages, whatever their layer allows.
type ban struct {
	in     []string // patterns of directories
	except []string // files or directories that may, see reason
	paths  []string // import paths; "x/..." as in layer
	reason string
}

// pure packages have no way to the world: same input, same output.
var pure = []string{"pkg/unit/...", "pkg/depend", "pkg/job", "pkg/engine/...", "pkg/execplan/..."}

var bans = []ban{
	{pure, []string{"pkg/engine/enginetest/table.go"}, []string{"os/...", "net", "net/http/...", "syscall", "golang.org/x/sys/...", "io/fs", "os/exec", "unsafe", "runtime/..."},
		"a pure package does no I/O: it is simulated by the million steps, planned without doing and replayed (a test helper reads scripts)"},
	{pure, []string{"pkg/unit/value"}, []string{"time"}, "the time comes in with the event, in µs; only calendar arithmetic on a given location needs package time"},
	{pure, nil, []string{"sync/...", "context"}, "a pure package has no goroutines, so it has nothing to lock or to cancel"},
	{pure, nil, []string{"math/rand/...", "crypto/rand"}, "randomness comes in as a seed, else no run can be repeated"},
	{pure, nil, []string{"log/..."}, "library code never logs: errors are values, messages are effects"},
	{[]string{"pkg/generator/..."}, []string{"pkg/generator", "pkg/generator/program"}, []string{"os/...", "net", "syscall", "golang.org/x/sys/...", "io/fs", "time", "sync/..."},
		"a generator of ours is tested with texts: what it asks of the machine, pkg/generator/program tells it"},
	{[]string{"pkg/..."}, []string{"pkg/ctl/..."}, []string{"os/exec"},
		"its vfork child drops privileges in PID 1's memory: a hung path or a SIGSTOP by that user freezes PID 1 (pkg/kernel spawns)"},
	{[]string{"pkg/..."}, []string{"pkg/ctl/...", "pkg/listen"}, []string{"os/user", "net", "net/http/..."},
		"NSS and name resolution block and load foreign code: PID 1 asks a helper process (pkg/listen only looks up interfaces by name)"},
	{[]string{"pkg/..."}, []string{"pkg/ctl/..."}, []string{"log/..."}, "library code never logs"},
	{[]string{"pkg/...", "cmd/muster", "cmd/muster-executor"}, []string{"pkg/ctl/..."}, []string{Module + "/pkg/ctl/..."}, "the client is not part of the manager"},
	{[]string{"pkg/...", "cmd/muster"}, []string{"pkg/sandbox"}, []string{Module + "/pkg/image"}, "PID 1 must not read what somebody else has written on a disk"},
	{[]string{"pkg/...", "cmd/muster"}, []string{"pkg/sandbox"}, []string{Module + "/pkg/sandbox"},
		"what confines a child runs in the executor, never in PID 1: it unshares, mounts and drops what PID 1 must keep"},
	{[]string{"pkg/..."}, nil, []string{Module + "/pkg/manager"}, "nothing depends on the shell"},
	{[]string{"pkg/...", "cmd/..."}, nil, []string{Module + "/pkg/engine/enginetest"}, "the simulator is for tests"},
	{[]string{"pkg/...", "cmd/..."}, nil, []string{Module + "/test/...", Module + "/internal/..."}, "tests are not linked into programs"},
}

// library says where a library is used.
type library struct {
	path   string
	in     []string
	reason string
}

var libraries = []library{
	{"golang.org/x/sys/...", []string{"pkg/...", "cmd/...", "test/..."}, "system calls; not in the pure packages, see the bans"},
	{"github.com/godbus/dbus/v5", []string{"pkg/bus", "pkg/ctl/...", "test/..."},
		"types, signatures, client connections and rare complex arguments; not the server side, which loses call order and has no server auth"},
	{"github.com/moby/sys/mountinfo", []string{"pkg/condition", "pkg/ctl/...", "test/..."}, "rare reads of the mount table; PID 1's own reader allocates nothing per line"},
	{"github.com/moby/sys/...", []string{"pkg/sandbox", "pkg/ctl/...", "test/..."}, "rare reads; PID 1's own readers allocate nothing per line"},
	{"github.com/coreos/go-systemd/v22/...", []string{"pkg/ctl/...", "test/..."}, "a real client in tests; not for reading unit files (continuations, long lines)"},
	{"gopkg.in/ini.v1", []string{"pkg/ctl/...", "pkg/generator", "pkg/manager", "test/..."}, "os-release and the like; not unit files: it drops empty assignments and order"},
	{"github.com/containerd/cgroups/v3/...", []string{"pkg/sandbox", "pkg/ctl/...", "test/..."}, "device programs and statistics; 6 times slower per cgroup than pkg/cgroup"},
	{"github.com/cilium/ebpf/...", []string{"pkg/cgroup", "pkg/sandbox", "pkg/ctl/learn"}, "programs attached to control groups and, in a client, to tracepoints: jumps, maps and a ring that own instructions would have to reinvent"},
	{"github.com/ebitengine/purego", []string{"cmd/muster-pam"}, "loads libpam without a C compiler; dynamically linked, so nothing that PID 1 needs to start"},
	{"github.com/smallstep/pkcs7", []string{"pkg/image/signature"}, "PKCS#7 in every form that tools write; the standard library has none, and it costs no start: the executor runs a program for it"},
	{"github.com/spf13/...", []string{"pkg/ctl/..."}, "musterctl's help and completion"},
	{"github.com/google/go-cmp/...", []string{"pkg/engine/enginetest"}, "tests only"},
	{"pgregory.net/rapid", nil, "tests only"},
}

// Imports checks every import outside of tests against layers, bans and libraries.
func (t *Tree) Imports() []Finding {
	var out []Finding
	for _, f := range t.Files {
		if f.Test {
			continue
		}
		for _, spec := range f.AST.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				continue
			}
			if text := importFault(f, path); text != "" {
				out = append(out, Finding{"imports", t.where(spec.Pos()), text})
			}
		}
	}
	return out
}

func importFault(f *File, path string) string {
	for _, b := range bans {
		if matchesAny(b.in, f.Dir) && matchesAny(b.paths, path) && !matchesAny(b.except, f.Dir) && !matchesAny(b.except, f.Path) {
			return fmt.Sprintf("must not import %s: %s", path, b.reason)
		}
	}
	if dir, ok := strings.CutPrefix(path, Module+"/"); ok {
		for _, l := range layers {
			if !matches(l.dir, f.Dir) {
				continue
			}
			if matchesAny(l.ours, dir) {
				return ""
			}
			return fmt.Sprintf("must not import %s: %s (internal/tidy/imports.go has the rows)", dir, l.reason)
		}
		return fmt.Sprintf("%s has no row in the layers of internal/tidy/imports.go: say what it may import and why", f.Dir)
	}
	if first, _, _ := strings.Cut(path, "/"); !strings.Contains(first, ".") {
		return "" // the standard library
	}
	for _, l := range libraries {
		if !matches(l.path, path) {
			continue
		}
		if matchesAny(l.in, f.Dir) {
			return ""
		}
		return fmt.Sprintf("must not import %s: it is for %s", path, l.reason)
	}
	return fmt.Sprintf("%s has no row in the libraries of internal/tidy/imports.go: say where it is for and why", path)
}
