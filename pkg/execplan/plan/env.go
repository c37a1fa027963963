package plan

import (
	"strings"

	"github.com/muster-init/muster/pkg/unit/value"
)

// UnsetEnv takes away what list names: NAME, or NAME=value for that value only.
func UnsetEnv(env, list []string) []string {
	if len(list) == 0 {
		return env
	}
	kept := env[:0:0]
next:
	for _, s := range env {
		name, _, _ := strings.Cut(s, "=")
		for _, u := range list {
			if u == s || u == name {
				continue next
			}
		}
		kept = append(kept, s)
	}
	return kept
}

// LookupEnv finds the value of a name.
func LookupEnv(env []string, name string) (string, bool) {
	for i := len(env) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(env[i], name); ok && strings.HasPrefix(v, "=") {
			return v[1:], true
		}
	}
	return "", false
}

// ListenVars adds the variables that say whom the descriptors are for (sd_listen_fds(3)).
func (p *Plan) ListenVars() {
	p.PidVars = append(p.PidVars, "LISTEN_PID")
	if p.PidFDIDs {
		p.PidVars = append(p.PidVars, "LISTEN_PIDFDID")
	}
}

// CompleteEnv makes Env final: over it come the variables of the user, SetEnv
// and what was read from EnvFiles, and UnsetEnv goes away. Variables whose
// value is only known in the child give way to explicit ones of the same name.
func (p *Plan) CompleteEnv(user, files []string) {
	over := value.MergeEnvironment(p.SetEnv, files)
	p.Env = UnsetEnv(value.MergeEnvironment(p.Env, user, over), p.UnsetEnv)
	stays := func(name string) bool {
		if _, set := LookupEnv(over, name); set {
			return false
		}
		for _, u := range p.UnsetEnv {
			if u == name {
				return false
			}
		}
		return true
	}
	kept := p.PidVars[:0:0]
	for _, name := range p.PidVars {
		if stays(name) {
			kept = append(kept, name)
		}
	}
	p.PidVars = kept
	p.JournalStream = p.JournalStream && stays("JOURNAL_STREAM")
	p.SetEnv, p.EnvFiles, p.UnsetEnv = nil, nil, nil
}

// LoginEnv are HOME, USER, LOGNAME and SHELL of a user. A home directory or a
// shell that says there is none is left out.
func LoginEnv(id *Identity) []string {
	if id == nil || !id.HasUID {
		return nil
	}
	var env []string
	switch id.Home {
	case "", "/", "/nonexistent", "/dev/null":
	default:
		env = append(env, "HOME="+id.Home)
	}
	if id.Name != "" {
		env = append(env, "LOGNAME="+id.Name, "USER="+id.Name)
	}
	switch id.Shell {
	case "", "/bin/false", "/usr/bin/false", "/bin/true", "/usr/bin/true",
		"/sbin/nologin", "/usr/sbin/nologin", "/bin/nologin", "/usr/bin/nologin":
	default:
		env = append(env, "SHELL="+id.Shell)
	}
	return env
}

// DirectoryPath is where a directory of a kind is on the host. With
// DynamicUser= what outlives the user is below private/, out
// of reach of whoever gets the same uid later.
func (p *Plan) DirectoryPath(kind DirectoryKind, path string) string {
	prefix := p.Prefixes[kind]
	if p.PrivateDirectory(kind) {
		prefix += "/private"
	}
	return prefix + "/" + path
}

// MountedPath is where such a directory is mounted: in a root of its own there is no private/.
func (p *Plan) MountedPath(kind DirectoryKind, path string) string {
	if p.OwnRoot() {
		return p.ProgramPath(kind, path)
	}
	return p.DirectoryPath(kind, path)
}

// ProgramPath is where the program is told that it is.
func (p *Plan) ProgramPath(kind DirectoryKind, path string) string {
	return p.Prefixes[kind] + "/" + path
}

// PrivateDirectory says whether directories of a kind are below private/.
func (p *Plan) PrivateDirectory(kind DirectoryKind) bool {
	if !p.DynamicUser || kind == DirConfiguration {
		return false
	}
	// Runtime directories that go away with the user need no protection.
	return kind != DirRuntime || p.PreserveRuntime
}
