package ctl

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/muster-init/muster/pkg/kernel/facts"
	"github.com/muster-init/muster/pkg/unit/value"
)

// zoneByName loads a time zone, nil where there is none of that name.
func zoneByName(name string) *time.Location {
	if name == "" || name == "Local" {
		return nil
	}
	l, err := time.LoadLocation(name)
	if err != nil {
		return nil
	}
	return l
}

// eachArgument runs something for each argument, with an empty line between what is printed; one that fails doesn't keep the others from their turn.
func (a *analyze) eachArgument(args []string, run func(text string) error) int {
	status := 0
	for i, text := range args {
		if err := run(text); err != nil {
			a.errorf("%s", err)
			status = exitFailure
		}
		if i < len(args)-1 {
			a.printf("\n")
		}
	}
	return status
}

// field writes "Label: value" with the labels at the right.
func (a *analyze) labelled(width int, label, text string) {
	a.printf("%*s: %s\n", width, label, text)
}

// analyzeCalendar is calendar: the normal form of events and when they elapse.
func analyzeCalendar(a *analyze, args []string) int {
	return a.eachArgument(args, func(text string) error {
		c, err := value.ParseCalendarZone(text, func(name string) bool { return zoneByName(name) != nil })
		if err != nil {
			return fmt.Errorf("Failed to parse calendar specification '%s': Invalid argument", text)
		}
		zone := a.Location
		if c.UTC {
			zone = time.UTC
		} else if l := zoneByName(c.Zone); l != nil {
			zone = l
		}
		from := a.now()
		if a.baseTime != 0 {
			from = a.baseTime
		}
		a.labelled(15, "Original form", text)
		a.labelled(15, "Normalized form", a.in(colorCyanBright, c.String()))
		a.calendarTimes(c, from, zone)
		return nil
	})
}

func (a *analyze) calendarTimes(c *value.Calendar, from value.USec, zone *time.Location) {
	for i := 0; i < max(a.iterations, 1); i++ {
		next, ok := c.Next(from, zone)
		if !ok {
			if i == 0 {
				a.labelled(15, "Next elapse", a.in(colorBrightYellow, "never"))
			}
			return
		}
		label := "Next elapse"
		if i > 0 {
			label = fmt.Sprintf("Iteration #%d", i+1)
		}
		a.labelled(15, label, a.in(colorBrightBlue, value.FormatTimestamp(next, value.TimestampPretty, a.Location)))
		if !isUTC(a.Location, next) {
			a.labelled(15, "(in UTC)", value.FormatTimestamp(next, value.TimestampUTC, time.UTC))
		}
		a.labelled(15, "From now", value.FormatRelative(next, a.now()))
		from = next
	}
}

// analyzeTimestamp is timestamp.
func analyzeTimestamp(a *analyze, args []string) int {
	return a.eachArgument(args, func(text string) error {
		t, err := value.ParseTimestamp(text, a.now(), a.Location, zoneByName)
		if err != nil {
			return fmt.Errorf("Failed to parse \"%s\": Invalid argument", text)
		}
		a.labelled(15, "Original form", text)
		a.labelled(15, "Normalized form", a.in(colorBrightBlue, value.FormatTimestamp(t, value.TimestampPretty, a.Location)))
		if !isUTC(a.Location, t) {
			a.labelled(15, "(in UTC)", value.FormatTimestamp(t, value.TimestampUTC, time.UTC))
		}
		seconds := fmt.Sprintf("@%d", t/value.USecPerSec)
		if rest := t % value.USecPerSec; rest != 0 {
			seconds += fmt.Sprintf(".%06d", rest)
		}
		a.labelled(15, "UNIX seconds", seconds)
		a.labelled(15, "From now", value.FormatRelative(t, a.now()))
		return nil
	})
}

// analyzeTimespan is timespan.
func analyzeTimespan(a *analyze, args []string) int {
	return a.eachArgument(args, func(text string) error {
		n, err := value.ParseSec(text, value.USecPerSec)
		if err != nil {
			return fmt.Errorf("Failed to parse time span '%s': Invalid argument", text)
		}
		a.labelled(8, "Original", text)
		// Aligned by cells: the label isn't ASCII.
		a.printf("%6sμs: %d\n", "", uint64(n))
		a.labelled(8, "Human", a.in(colorBrightBlue, value.FormatSpan(n, 1)))
		return nil
	})
}

// analyzeExitStatus is exit-status.
func analyzeExitStatus(a *analyze, args []string) int {
	t := newTable("NAME", "STATUS", "CLASS")
	t.columns[1].right = true
	add := func(e value.ExitStatus) {
		name, class := textCell(e.Name()), textCell(string(e.Class()))
		if e.Name() == "" {
			name, class = cell{empty: "-", json: jsonNull{}}, cell{empty: "-", json: jsonNull{}}
		}
		t.row(name, cell{text: strconv.Itoa(int(e)), json: int(e)}, class)
	}
	if len(args) == 0 {
		for _, e := range value.ExitStatuses() {
			add(e)
		}
	}
	for _, text := range args {
		e, err := value.ParseExitStatus(text)
		if err != nil {
			a.errorf("Invalid exit status \"%s\".", text)
			return exitFailure
		}
		add(e)
	}
	a.startPager(a.o.noPager)
	t.print(a.Env, tableStyle{header: a.o.legend(), json: a.o.output})
	return 0
}

// analyzeCapability is capability.
func analyzeCapability(a *analyze, args []string) int {
	t := newTable("NAME", "NUMBER")
	t.columns[1].right = true
	add := func(n int) {
		name := textCell(value.CapabilityName(n))
		if name.text == "" {
			name = cell{text: "cap_???"}
		}
		t.row(name, cell{text: strconv.Itoa(n), json: n})
	}
	switch {
	case a.mask:
		if len(args) != 1 {
			a.errorf("Exactly one capability mask must be given.")
			return exitFailure
		}
		mask, err := strconv.ParseUint(strings.TrimPrefix(strings.ToLower(args[0]), "0x"), 16, 64)
		if err != nil {
			a.errorf("Capability mask \"%s\" is not valid.", args[0])
			return exitFailure
		}
		for n := 0; n < 64; n++ {
			if mask&(1<<n) != 0 {
				add(n)
			}
		}
	case len(args) == 0:
		for n := range value.CapabilityNames() {
			add(n)
		}
	}
	if !a.mask {
		for _, text := range args {
			n, err := value.ParseCapability(text)
			if err != nil {
				a.errorf("Capability \"%s\" is not known.", text)
				return exitFailure
			}
			add(n)
		}
	}
	a.startPager(a.o.noPager)
	t.print(a.Env, tableStyle{header: a.o.legend(), json: a.o.output})
	return 0
}

// analyzeArchitectures is architectures: which ones programs can be of here.
func analyzeArchitectures(a *analyze, args []string) int {
	names := []string{"alpha", "arc", "arc-be", "arm", "arm64", "arm64-be", "arm-be", "cris", "ia64", "loongarch64", "m68k", "mips", "mips64", "mips64-le", "mips-le", "nios2", "parisc", "parisc64", "ppc", "ppc64", "ppc64-le", "ppc-le", "riscv32", "riscv64", "s390", "s390x", "sh", "sh64", "sparc", "sparc64", "tilegx", "x86", "x86-64"}
	secondary := map[string]string{"x86-64": "x86", "arm64": "arm", "s390x": "s390", "sparc64": "sparc", "ppc64": "ppc", "ppc64-le": "ppc-le", "mips64": "mips", "mips64-le": "mips-le"}
	native := facts.Architecture()
	if len(args) > 0 {
		for _, n := range args {
			if !contains(names, n) && n != "native" && n != "uname" {
				a.errorf("Architecture \"%s\" not known.", n)
				return exitFailure
			}
		}
		names = nil
		for _, n := range args {
			if n == "native" || n == "uname" {
				n = native
			}
			names = append(names, n)
		}
	}
	t := newTable("NAME", "SUPPORT")
	for _, n := range names {
		word, c := "foreign", colorGrey
		switch n {
		case native:
			word, c = "native", colorGreen
		case secondary[native]:
			word, c = "secondary", colorNone
		}
		t.row(textCell(n), colorCell(word, c))
	}
	a.startPager(a.o.noPager)
	t.print(a.Env, tableStyle{header: a.o.legend(), json: a.o.output})
	return 0
}

// isUTC says that a time is shown in UTC anyway.
func isUTC(l *time.Location, at value.USec) bool {
	name, _ := time.UnixMicro(int64(at)).In(l).Zone()
	return name == "UTC"
}
