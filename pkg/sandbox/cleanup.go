package sandbox

import (
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/spawn"
)

// cleanup takes away what an activation left. Everything is tried; the first
// failure is reported.
func cleanup(p *plan.Plan) *plan.Failure {
	c := p.Cleanup
	var first *plan.Failure
	note := func(setting, path string, err error) {
		if err != nil && first == nil {
			first = failed(plan.ExitException, setting, path, err)
		}
	}
	if c.Dead != nil {
		note("UtmpIdentifier", c.Dead.ID, spawn.WriteUtmp(spawn.UtmpRecord{
			Type: spawn.UtmpDead, PID: c.DeadPID, ID: c.Dead.ID, Line: c.Dead.Line,
			Termination: int16(c.DeadSignal), Exit: int16(c.DeadStatus),
		}))
	}
	for _, d := range c.Directories {
		note("RuntimeDirectory", d.Prefix+"/"+d.Path, removeDirectory(d))
	}
	for _, dir := range c.TmpDirs {
		note("PrivateTmp", dir, spawn.RemovePrivateTmp(dir))
	}
	if i := strings.LastIndexByte(c.Ephemeral, '/'); i > 0 {
		note("RootEphemeral", c.Ephemeral, spawn.RemoveTree(c.Ephemeral[:i], c.Ephemeral[i+1:]))
	}
	if c.Credentials != "" {
		note("credentials", c.Credentials, spawn.RemoveCredentials(c.Credentials))
	}
	if c.RemoveIPC {
		note("RemoveIPC", c.User, removeIPCOf(c.User))
	}
	if c.NFT != nil {
		note("NFTSet", "", emptySets(c.NFT)) // while a dynamic user still has its number
	}
	if c.DynamicUser != "" {
		note("DynamicUser", c.DynamicUser, spawn.ReleaseDynamicUser(c.DynamicUser))
	}
	if c.DynamicGroup != "" {
		note("DynamicUser", c.DynamicGroup, spawn.ReleaseDynamicUser(c.DynamicGroup))
	}
	return first
}

// removeDirectory removes the links to a directory before it.
func removeDirectory(d plan.CleanupDirectory) error {
	for _, link := range d.Symlinks {
		if isPlainLink(d.Prefix + "/" + link) {
			if err := unix.Unlink(d.Prefix + "/" + link); err != nil {
				return err
			}
		}
	}
	if d.Private {
		if err := spawn.RemoveTree(d.Prefix, "private/"+d.Path); err != nil {
			return err
		}
	}
	return spawn.RemoveTree(d.Prefix, d.Path)
}

func isPlainLink(path string) bool { return isLink(unix.AT_FDCWD, path) }

// removeIPCOf removes the IPC objects of a user, dynamic ones included.
func removeIPCOf(name string) error {
	uid, ok := spawn.DynamicUser(name)
	if !ok {
		e, err := lookupUser(name)
		if err == errNoEntry {
			return nil
		}
		if err != nil {
			return err
		}
		uid = e.uid
	}
	return spawn.RemoveIPC(uid)
}
