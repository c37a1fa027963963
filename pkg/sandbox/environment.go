package sandbox

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/kernel"
	"github.com/muster-init/muster/pkg/unit/value"
)

// maxEnvFile bounds one EnvironmentFile= in bytes.
const maxEnvFile = 4 << 20

// environment completes the environment and the command line.
func environment(r *run) *plan.Failure {
	p := r.p
	files, f := envFiles(p.EnvFiles)
	if f != nil {
		return f
	}
	var login []string
	if p.SetLogin {
		login = plan.LoginEnv(p.Identity)
	}
	p.CompleteEnv(login, files)
	if p.WorkingHome {
		if p.Identity == nil || p.Identity.Home == "" {
			return failed(plan.ExitChdir, "WorkingDirectory", "~", unix.ENXIO)
		}
		p.WorkingDirectory = p.Identity.Home
	}
	if p.ViaShell {
		shell := "/bin/sh"
		if p.Identity != nil && p.Identity.Shell != "" {
			shell = p.Identity.Shell
		}
		login := strings.HasPrefix(p.Argv[0], "-")
		p.Paths = []string{shell}
		p.Argv[0] = shell[strings.LastIndexByte(shell, '/')+1:]
		if login {
			p.Argv[0] = "-" + p.Argv[0]
		}
	}
	if p.ExpandArgv && p.PAM == nil {
		expand(p)
	}
	return nil
}

// arguments expands the command line when PAM had a word in the environment.
func arguments(r *run) *plan.Failure {
	expand(r.p)
	return nil
}

func expand(p *plan.Plan) {
	pid := strconv.Itoa(unix.Getpid())
	p.Argv, _, _ = value.ExpandEnv(p.Argv, func(name string) (string, bool) {
		for _, v := range p.PidVars {
			if v == name && strings.HasSuffix(name, kernel.PidFDIDSuffix) {
				return strconv.FormatUint(kernel.PidFDIDOf(unix.Getpid()), 10), true
			}
			if v == name {
				return pid, true
			}
		}
		if name == "JOURNAL_STREAM" && p.JournalStream {
			return p.JournalID, true
		}
		return plan.LookupEnv(p.Env, name)
	})
	if len(p.Argv) == 0 {
		p.Argv = []string{p.Paths[0]}
	}
}

// envFiles reads EnvironmentFile= in order; a later file wins.
func envFiles(list []plan.EnvFile) ([]string, *plan.Failure) {
	var env []string
	// DEVIATION: systemd reads the files in PID 1 and starts no process when one
	// is missing. Here the process ends with status 255, and the failure says
	// that it stands for the result "resources".
	unreadable := func(path string, err error) *plan.Failure {
		f := failed(plan.ExitException, "EnvironmentFile", path, err)
		f.Resources = true
		return f
	}
	for _, ef := range list {
		paths, err := glob(ef.Path)
		if err == nil && len(paths) == 0 {
			err = unix.ENOENT
		}
		if err != nil {
			if ef.Optional {
				continue
			}
			return nil, unreadable(ef.Path, err)
		}
		for _, path := range paths {
			text, err := readFile(path, maxEnvFile)
			if err != nil {
				if ef.Optional {
					continue
				}
				return nil, unreadable(path, err)
			}
			pairs, err := value.ParseEnvFile(text)
			// Lines that are no assignment are passed over; a file that is no text
			// is not.
			if err != nil && len(pairs) == 0 && !value.TextIsValid(strings.ReplaceAll(string(text), "\r", "")) {
				if ef.Optional {
					continue
				}
				return nil, unreadable(path, err)
			}
			for _, pair := range pairs {
				if value.EnvNameIsValid(pair.Name) {
					env = append(env, pair.String())
				}
			}
		}
	}
	return env, nil
}
