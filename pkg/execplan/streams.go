package execplan

import (
	"fmt"
	"strings"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/unit"
)

// Flags of open(2); the values are the same on every architecture Go runs on
// except MIPS, which is not supported.
const (
	oRDONLY = 0
	oWRONLY = 1
	oRDWR   = 2
	oCREAT  = 0o100
	oTRUNC  = 0o1000
	oAPPEND = 0o2000
)

func isTTY(kind string) bool { return kind == "tty" || kind == "tty-force" || kind == "tty-fail" }

// bidirectional inputs are worth duplicating for output.
func bidirectional(kind string) bool { return isTTY(kind) || kind == "socket" || kind == "fd" }

func (b *builder) console() string {
	if b.ctx.Console != "" {
		return b.ctx.Console
	}
	return plan.Console
}

func (b *builder) ttyPath() string {
	if b.e.TTYPath != "" {
		return b.e.TTYPath
	}
	return b.console()
}

// usesTTY says whether a standard stream is the unit's terminal.
func (b *builder) usesTTY() bool {
	return isTTY(b.e.StandardInput.Kind) || isTTY(b.e.StandardOutput.Kind) || isTTY(b.e.StandardError.Kind)
}

// streams resolves the three standard streams against each other
// (systemd.exec(5), Logging and Standard Input/Output).
func (b *builder) streams() error {
	in, out, errs := b.stdioKinds()
	var err error
	if b.p.Stdin, err = b.input(in); err != nil {
		return err
	}
	if b.p.Stdout, err = b.output("StandardOutput", out, in); err != nil {
		return err
	}
	if sameStream(out, errs) {
		b.p.Stderr = plan.Stream{Kind: plan.StreamDup}
		if b.p.Stdout.Kind == plan.StreamKeep {
			b.p.Stderr.Kind = plan.StreamKeep
		}
	} else if b.p.Stderr, err = b.output("StandardError", errs, in); err != nil {
		return err
	}
	b.given()
	b.journalHeader()
	if b.usesTTY() || b.e.TTYReset || b.e.TTYVHangup || b.e.TTYVTDisallocate {
		b.tty()
	}
	return nil
}

// given puts what a client handed over in the place of the settings.
func (b *builder) given() {
	for n, s := range []*plan.Stream{&b.p.Stdin, &b.p.Stdout, &b.p.Stderr} {
		if fd := b.ctx.Stdio[n]; fd > 0 {
			*s = plan.Stream{Kind: plan.StreamFD, FD: fd, Control: n == 0, Force: b.e.StandardInput.Kind == "tty-force"}
		}
	}
	if b.ctx.Stdio[0] > 0 {
		b.p.StdinData = nil
	}
}

// stdioKinds applies what the settings do to each other. Output follows a
// bidirectional input only where nothing else was asked for, which the
// configuration shows as inherit (or as nothing at all).
func (b *builder) stdioKinds() (in, out, errs unit.Stdio) {
	in, out, errs = b.e.StandardInput, b.e.StandardOutput, b.e.StandardError
	if in.Kind == "" {
		in.Kind = "null"
	}
	if out.Kind == "" {
		out.Kind = "inherit"
	}
	if errs.Kind == "" {
		errs.Kind = "inherit"
	}
	if in.Kind == "null" && len(b.e.StandardInputData) > 0 {
		in.Kind = "data"
	}
	if !bidirectional(in.Kind) {
		if out.Kind == "inherit" && errs.Kind == "inherit" && b.ctx.DefaultError != "" {
			errs.Kind = b.ctx.DefaultError
		}
		if out.Kind == "inherit" {
			if out.Kind = b.ctx.DefaultOutput; out.Kind == "" {
				out.Kind = "journal"
			}
		}
	}
	// Only what runs before or as the main process may own the terminal.
	tty := b.u.Type != unit.TypeService || b.ctx.Phase == phaseStart || b.ctx.Phase == phaseStartPre || b.ctx.Phase == phaseCondition
	if isTTY(in.Kind) && !tty {
		if out.Kind == "inherit" {
			out.Kind = "tty"
		}
		in.Kind = "null"
	}
	return in, out, errs
}

// sameStream says whether standard error can be a copy of standard output.
func sameStream(out, errs unit.Stdio) bool {
	return errs.Kind == "inherit" || errs == out
}

func (b *builder) input(in unit.Stdio) (plan.Stream, error) {
	switch in.Kind {
	case "null":
		return plan.Stream{Kind: plan.StreamNull, Flags: oRDONLY}, nil
	case "tty", "tty-force", "tty-fail":
		return plan.Stream{Kind: plan.StreamTTY, Flags: oRDWR, Force: in.Kind == "tty-force", Fail: in.Kind == "tty-fail"}, nil
	case "socket":
		return b.socket("StandardInput")
	case "fd":
		return b.named("StandardInput", in.Arg, "stdin")
	case "data":
		b.p.StdinData = b.e.StandardInputData
		return plan.Stream{Kind: plan.StreamData}, nil
	case "file":
		flags := int32(oRDONLY)
		if b.e.StandardOutput == in || b.e.StandardError == in {
			flags = oRDWR | oCREAT
		}
		return plan.Stream{Kind: plan.StreamFile, Path: in.Arg, Flags: flags}, nil
	}
	return plan.Stream{}, fmt.Errorf("StandardInput=%s: unknown kind", in.Kind)
}

func (b *builder) output(setting string, s, in unit.Stdio) (plan.Stream, error) {
	file := func(flags int32) (plan.Stream, error) {
		if s.Arg == in.Arg && in.Kind == "file" {
			return plan.Stream{Kind: plan.StreamDup}, nil
		}
		return plan.Stream{Kind: plan.StreamFile, Path: s.Arg, Flags: oWRONLY | oCREAT | flags}, nil
	}
	switch s.Kind {
	case "null":
		return plan.Stream{Kind: plan.StreamNull, Flags: oWRONLY}, nil
	case "tty", "tty-force", "tty-fail":
		if isTTY(in.Kind) {
			return plan.Stream{Kind: plan.StreamDup}, nil
		}
		return plan.Stream{Kind: plan.StreamTTY, Flags: oWRONLY}, nil
	case "inherit":
		return b.inherit(in), nil
	case "journal", "kmsg", "journal+console", "kmsg+console", "syslog", "syslog+console":
		return b.journal(s.Kind), nil
	case "file":
		return file(0)
	case "append":
		return file(oAPPEND)
	case "truncate":
		return file(oTRUNC)
	case "socket":
		if in.Kind == "socket" {
			return plan.Stream{Kind: plan.StreamDup}, nil
		}
		return b.socket(setting)
	case "fd":
		def := "stdout"
		if setting == "StandardError" {
			def = "stderr"
		}
		return b.named(setting, s.Arg, def)
	}
	return plan.Stream{}, fmt.Errorf("%s=%s: unknown kind", setting, s.Kind)
}

// inherit copies the input if it can be written to. Otherwise PID 1 has
// nothing to hand down, and a user manager what it was started with.
func (b *builder) inherit(in unit.Stdio) plan.Stream {
	switch {
	case in.Kind != "null" && in.Kind != "data":
		return plan.Stream{Kind: plan.StreamDup}
	case isTTY(b.e.StandardInput.Kind):
		return plan.Stream{Kind: plan.StreamTTY, Flags: oWRONLY}
	case b.ctx.UserMode:
		return plan.Stream{Kind: plan.StreamKeep}
	}
	return plan.Stream{Kind: plan.StreamNull, Flags: oWRONLY}
}

func (b *builder) journal(kind string) plan.Stream {
	if !b.ctx.Journal {
		if b.ctx.LogFD != nil {
			if fd := b.ctx.LogFD(); fd > 0 {
				return plan.Stream{Kind: plan.StreamFD, FD: fd}
			}
		}
		return plan.Stream{Kind: plan.StreamNull, Flags: oWRONLY}
	}
	return plan.Stream{
		Kind: plan.StreamJournal, FD: plan.None,
		ForwardKmsg:    strings.HasPrefix(kind, "kmsg"),
		ForwardConsole: strings.HasSuffix(kind, "+console"),
	}
}

func (b *builder) socket(setting string) (plan.Stream, error) {
	var sockets []FD
	for _, fd := range b.ctx.FDs {
		if !fd.Stored {
			sockets = append(sockets, fd)
		}
	}
	if len(sockets) != 1 {
		return plan.Stream{}, fmt.Errorf("%s=socket: %d sockets were passed, one is needed", setting, len(sockets))
	}
	return plan.Stream{Kind: plan.StreamFD, FD: sockets[0].Number}, nil
}

func (b *builder) named(setting, name, def string) (plan.Stream, error) {
	if name == "" {
		name = def
	}
	for _, fd := range b.ctx.FDs {
		if fd.Name == name && !fd.Stored {
			return plan.Stream{Kind: plan.StreamFD, FD: fd.Number}, nil
		}
	}
	return plan.Stream{}, fmt.Errorf("%s=fd:%s: no file descriptor of that name was passed", setting, name)
}

func (b *builder) journalHeader() {
	if b.p.Stdout.Kind != plan.StreamJournal && b.p.Stderr.Kind != plan.StreamJournal {
		return
	}
	h := plan.JournalHeader{
		Socket: b.ctx.JournalSocket, Identifier: b.e.SyslogIdentifier,
		Priority: b.e.SyslogFacility<<3 | b.e.SyslogLevel, LevelPrefix: b.e.SyslogLevelPrefix,
	}
	if h.Socket == "" {
		h.Socket = journalSocket
	}
	if b.e.LogNamespace != "" && b.ctx.JournalSocket == "" {
		h.Socket = "/run/systemd/journal." + b.e.LogNamespace + "/stdout"
	}
	if h.Identifier == "" {
		path := b.ctx.Command.Path
		h.Identifier = path[strings.LastIndexByte(path, '/')+1:]
	}
	if !b.ctx.UserMode {
		h.Unit = b.u.Name
	}
	b.p.Journal = h
}

func (b *builder) tty() {
	b.tier2("TTYPath")
	b.p.TTY = plan.TTY{
		Path: b.ttyPath(), Reset: b.e.TTYReset, VHangup: b.e.TTYVHangup, VTDisallocate: b.e.TTYVTDisallocate,
		Rows: b.e.TTYRows, Columns: b.e.TTYColumns,
	}
}
