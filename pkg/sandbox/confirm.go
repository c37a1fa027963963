package sandbox

import (
	"os"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/kernel"
	"github.com/muster-init/muster/pkg/unit/value"
)

const (
	// confirmHoldUSec is how long a child waits for the terminal while another one asks there. A boot whose console nobody looks at goes on.
	confirmHoldUSec = 30_000_000
	// confirmRepeatMSec is when a question is shown again: status lines may have been written over it.
	confirmRepeatMSec = 5000
	// confirmColumns is what a command takes of the line.
	confirmColumns = 60
)

const confirmHelp = `  c  continue: from now on start everything without asking
  D  details: what is known about this start
  f  fail: don't start it, as if it had failed
  h  help: this list
  i  info: which unit and which command this is
  j  jobs: the manager logs the queued jobs
  s  skip: don't start it, as if it had succeeded
  y  yes: start it
`

// confirm asks a person at the terminal whether the command is executed (systemd.confirm_spawn= of kernel-command-line(7)). One child asks at a time:
// whoever has the terminal as the controlling one. Where there is no terminal, or its turn doesn't come, the answer is yes. A refused command ends
// with status 221, a skipped one with 0.
func confirm(r *run) *plan.Failure {
	p := r.p
	fd, err := confirmTerminal(p)
	if err != nil {
		assumeYes(p, err)
		return nil
	}
	defer releaseTerminal(fd)
	question := "Execute " + shorten(commandLine(p), confirmColumns) + "? [y, f, s, or h for help] "
	for unix.Access(plan.ConfirmDisabled, unix.F_OK) != nil { // said c to somebody else meanwhile
		answer, err := askCharacter(fd, question)
		if err != nil {
			assumeYes(p, err)
			return nil
		}
		switch answer {
		case 'y':
			return nil
		case 'c':
			if err := os.WriteFile(plan.ConfirmDisabled, nil, 0o600); err != nil {
				say(fd, "  "+err.Error()+"\n")
				continue
			}
			return nil
		case 'f':
			return &plan.Failure{Status: plan.ExitConfirm, Setting: p.Phase, Path: p.Paths[0], Message: "refused at the console", Errno: int32(unix.ECANCELED)}
		case 's':
			releaseTerminal(fd)
			os.Exit(0)
		case 'h':
			say(fd, confirmHelp)
		case 'i':
			say(fd, "  unit     "+p.Unit+"\n  phase    "+p.Phase+"\n  command  "+commandLine(p)+"\n")
		case 'j':
			if err := kernel.QueueSignal(int(p.ConfirmBy), kernel.SIGRTMIN+18, kernel.CommandDumpJobs); err != nil {
				say(fd, "  the manager can't be asked: "+err.Error()+"\n")
			}
		case 'D':
			say(fd, describe(p))
		case 'n':
			say(fd, "  n could mean f (it failed) or s (it is done): which?\n")
		default:
			say(fd, "  h shows the possible answers\n")
		}
	}
	return nil
}

// confirmTerminal takes the terminal that was asked for, or the console where it can't be opened.
func confirmTerminal(p *plan.Plan) (int, error) {
	fd, err := acquire(p.Confirm, terminalWait{usec: confirmHoldUSec})
	if err == nil || err == unix.ETIMEDOUT || p.Confirm == plan.Console {
		return fd, err
	}
	tell(p, &plan.Failure{Setting: "systemd.confirm_spawn", Path: p.Confirm, Message: err.Error() + ", asking at " + plan.Console})
	return acquire(plan.Console, terminalWait{usec: confirmHoldUSec})
}

func assumeYes(p *plan.Plan, err error) {
	text := "nobody could be asked (" + err.Error() + "), the command is executed"
	tell(p, &plan.Failure{Setting: "systemd.confirm_spawn", Path: p.Confirm, Message: text})
	ignoreMissing(onTerminal(p.Confirm, func(fd int) error {
		say(fd, p.Unit+": "+text+"\n")
		return nil
	}))
}

// askCharacter shows the question until a key is pressed.
func askCharacter(fd int, question string) (byte, error) {
	old, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return 0, err
	}
	raw := *old
	raw.Lflag &^= unix.ICANON | unix.ECHO | unix.ISIG
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &raw); err != nil {
		return 0, err
	}
	defer func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, old) }() // it worked a moment ago
	wait := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		say(fd, question)
		n, err := unix.Poll(wait, confirmRepeatMSec)
		for err == unix.EINTR {
			n, err = unix.Poll(wait, confirmRepeatMSec)
		}
		if err != nil {
			return 0, err
		}
		if n == 0 {
			say(fd, "\n")
			continue
		}
		var key [1]byte
		if n, err = unix.Read(fd, key[:]); err == nil && n == 0 {
			err = unix.EIO
		}
		if err != nil {
			return 0, err
		}
		if key[0] > ' ' && key[0] < 0x7f {
			say(fd, string(key[:]))
		}
		say(fd, "\n")
		return key[0], nil
	}
}

// say writes to the terminal; what it doesn't take is lost, as with all that is shown there.
func say(fd int, text string) {
	_, _ = unix.Write(fd, []byte(strings.ReplaceAll(text, "\n", "\r\n")))
}

// releaseTerminal gives the terminal to the next one who asks. The kernel sends SIGHUP to the session that loses it, which is this process.
func releaseTerminal(fd int) {
	_ = kernel.SetSignalIgnored(unix.SIGHUP)
	_ = ioctl(fd, unix.TIOCNOTTY, 0)
	_ = kernel.SetSignalDefault(unix.SIGHUP)
	unix.Close(fd)
}

func commandLine(p *plan.Plan) string { return value.QuoteWords(p.Argv) }

// shorten cuts at a whole character.
func shorten(s string, columns int) string {
	if utf8.RuneCountInString(s) <= columns {
		return s
	}
	return string([]rune(s)[:columns-1]) + "…"
}

// describe lists what is set in the plan, a line for each field that holds text, a number or a list of texts.
func describe(p *plan.Plan) string {
	var b strings.Builder
	v := reflect.ValueOf(p).Elem()
	for i := range v.NumField() {
		f := v.Field(i)
		if f.Kind() == reflect.Pointer && !f.IsNil() {
			f = f.Elem()
		}
		text := ""
		switch {
		case f.IsZero():
		case f.Kind() == reflect.String:
			text = f.String()
		case f.Kind() == reflect.Bool:
			text = "yes"
		case f.CanInt():
			text = strconv.FormatInt(f.Int(), 10)
		case f.CanUint():
			text = strconv.FormatUint(f.Uint(), 10)
		case f.Type() == reflect.TypeFor[[]string]():
			text = value.QuoteWords(f.Interface().([]string))
		}
		if text != "" {
			b.WriteString("  " + v.Type().Field(i).Name + "  " + text + "\n")
		}
	}
	return b.String()
}
