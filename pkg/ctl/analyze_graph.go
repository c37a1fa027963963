package ctl

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/bus"
)

// dotEdges are the dependencies dot draws, in the colours systemd-analyze(1) gives them.
var dotEdges = []struct {
	property, color string
	order           bool
}{
	{"After", "green", true}, {"Requires", "black", false}, {"Requisite", "darkblue", false}, {"BindsTo", "gold", false},
	{"Wants", "grey66", false}, {"Conflicts", "red", false},
}

// analyzeDot is dot: the graph of units in the language of graphviz.
func analyzeDot(a *analyze, args []string) int {
	list, err := a.fetchUnits(nil, nil)
	if err != nil {
		a.errorf("Failed to list units: %s", errorText(err))
		return exitFailure
	}
	a.printf("digraph systemd {\n")
	for i := range list {
		if status := a.dotUnit(list[i].name, args); status != 0 {
			return status
		}
	}
	a.printf("}\n")
	a.notef("   Color legend: black     = Requires\n                 dark blue = Requisite\n                 gold      = BindsTo\n" +
		"                 dark grey = Wants\n                 red       = Conflicts\n                 green     = After")
	if a.OutTerminal {
		a.notef("-- You probably want to process this output with graphviz' dot tool.\n-- Try a shell pipeline like 'systemd-analyze dot | dot -Tsvg > systemd.svg'!")
	}
	return 0
}

func (a *analyze) dotUnit(name string, patterns []string) int {
	props, err := getAll(a.bus, bus.UnitPath(name), unitIface)
	if err != nil {
		a.errorf("Failed to get properties: %s", errorText(err))
		return exitFailure
	}
	p := indexProperties(props)
	for _, e := range dotEdges {
		if a.order != a.require && e.order != a.order {
			continue
		}
		for _, to := range p.strings(e.property) {
			if a.dotShown(name, to, patterns) {
				a.printf("\t\"%s\"->\"%s\" [color=\"%s\"];\n", name, to, e.color)
			}
		}
	}
	return 0
}

// dotShown says whether an edge is drawn: one of its ends matches a pattern, and both those of --from-pattern= and --to-pattern=.
func (a *analyze) dotShown(from, to string, patterns []string) bool {
	if len(patterns) > 0 && !matchesAny(from, patterns) && !matchesAny(to, patterns) {
		return false
	}
	return matchesAny(from, a.fromPatterns) && matchesAny(to, a.toPatterns)
}

// analyzeDump is dump.
func analyzeDump(a *analyze, args []string) int {
	a.startPager(a.o.noPager)
	method, call := "Dump", []any{}
	if len(args) > 0 {
		method, call = "DumpUnitsMatchingPatterns", []any{args}
	}
	r, err := a.call(method, call...)
	if err != nil {
		a.errorf("Failed to call Dump: %s", errorText(err))
		return exitFailure
	}
	d := r.Decoder()
	a.printf("%s", d.String())
	return 0
}

// analyzeFDStore is fdstore: the descriptors that services have given to the manager.
func analyzeFDStore(a *analyze, args []string) int {
	t := newTable("FDNAME", "TYPE", "DEVNO", "INODE", "RDEVNO", "PATH", "FLAGS")
	t.columns[3].right = true
	for _, arg := range args {
		name, ok := a.mangle(arg, ".service", false)
		if !ok {
			return exitFailure
		}
		r, err := a.call("DumpUnitFileDescriptorStore", name)
		if err != nil {
			a.errorf("Failed to call DumpUnitFileDescriptorStore: %s", errorText(err))
			return exitFailure
		}
		d, err := r.Args("a(suuutuusu)")
		if err != nil {
			a.errorf("Failed to parse response: %s", errorText(err))
			return exitFailure
		}
		for arr := d.BeginArray('('); d.More(arr); {
			d.Struct()
			fdname, mode := d.String(), d.Uint32()
			major, minor, inode := d.Uint32(), d.Uint32(), d.Uint64()
			rmajor, rminor, path, flags := d.Uint32(), d.Uint32(), d.String(), d.Uint32()
			rdev := cell{empty: "-", json: jsonNull{}}
			if kind := mode & unix.S_IFMT; kind == unix.S_IFCHR || kind == unix.S_IFBLK {
				rdev = deviceCell(rmajor, rminor)
			}
			t.row(textCell(fdname), cell{text: fileKind(mode), json: uint64(mode)}, deviceCell(major, minor), cell{text: strconv.FormatUint(inode, 10), json: inode}, rdev,
				cell{text: path, empty: "-"}, textCell(accessMode(flags)))
		}
	}
	if len(t.rows) == 0 && a.o.output == "short" {
		a.notef("No file descriptors in fdstore of %s.", args[0])
		return 0
	}
	a.startPager(a.o.noPager)
	t.print(a.Env, tableStyle{header: a.o.legend(), json: a.o.output})
	return 0
}

func deviceCell(major, minor uint32) cell {
	return cell{text: strconv.Itoa(int(major)) + ":" + strconv.Itoa(int(minor)), json: []any{uint64(major), uint64(minor)}}
}

// fileKind is the type of an inode as a word.
func fileKind(mode uint32) string {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return "reg"
	case unix.S_IFDIR:
		return "dir"
	case unix.S_IFLNK:
		return "lnk"
	case unix.S_IFCHR:
		return "chr"
	case unix.S_IFBLK:
		return "blk"
	case unix.S_IFIFO:
		return "fifo"
	case unix.S_IFSOCK:
		return "sock"
	}
	return "-"
}

func accessMode(flags uint32) string {
	switch flags & uint32(os.O_RDONLY|os.O_WRONLY|os.O_RDWR) {
	case uint32(os.O_RDONLY):
		return "ro"
	case uint32(os.O_WRONLY):
		return "wo"
	}
	return "rw"
}
