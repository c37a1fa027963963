package execplan

import (
	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/unit"
)

// Cleanup makes the plan that takes away what an activation of u leaves, once
// nothing of it runs any more: runtime directories, private /tmp, credentials,
// IPC objects, the dynamic user. Of ctx it uses BootID, InvocationID, UserMode
// and Prefixes. restarting says that the unit is about to start again. It is
// nil if nothing is left.
func Cleanup(u *unit.Unit, ctx Context, restarting bool) *plan.Plan {
	e, s := u.GetExec(), u.GetSandbox()
	c := &plan.Cleanup{User: e.User}
	prefixes := ctx.Prefixes
	if prefixes == (plan.Prefixes{}) {
		prefixes = SystemPrefixes
	}
	if e.RuntimeDirectoryPreserve == "no" || e.RuntimeDirectoryPreserve == "restart" && !restarting {
		addDirectories(c, prefixes, plan.DirRuntime, &e.RuntimeDirectory, e.DynamicUser)
	}
	if dirs := ctx.PrivateTmpDir; !ctx.TmpInUse {
		if dirs == [2]string{} && Shares(u).Tmp {
			dirs = PrivateTmpDirs(u.Name, ctx.BootID, ctx.InvocationID)
		}
		if dirs != [2]string{} {
			c.TmpDirs = dirs[:]
		}
	}
	c.Ephemeral = ephemeralDir(u, ctx)
	if s.HasCredentials() {
		c.Credentials = CredentialsDirectory(u.Name)
		if ctx.UserMode {
			c.Credentials = userCredentialsDirectory(prefixes, u.Name)
		}
	}
	if !restarting {
		dynamicNames(u, ctx, c)
	}
	if (s.RemoveIPC || e.DynamicUser) && !ctx.UserMode && !restarting {
		if c.User == "" || e.DynamicUser {
			c.User = c.DynamicUser // none while another unit is that user
		}
		c.RemoveIPC = c.User != "" && c.User != "root" && c.User != "0"
	}
	nftOwner(u, ctx, c)
	if c.NFT == nil && len(c.Directories)+len(c.TmpDirs) == 0 && c.Ephemeral == "" && c.Credentials == "" && c.DynamicUser == "" && c.DynamicGroup == "" && !c.RemoveIPC {
		return nil
	}
	return cleanupPlan(u.Name, ctx, c)
}

// DynamicNames are the names of the dynamic user and, where it is another, the
// dynamic group of a unit, "" without DynamicUser=.
func DynamicNames(u *unit.Unit) (user, group string) {
	e := u.GetExec()
	if !e.DynamicUser {
		return "", ""
	}
	if user = e.User; user == "" {
		user = unit.DynamicUserName(u.Name)
	}
	if e.Group != user {
		group = e.Group
	}
	return user, group
}

func dynamicNames(u *unit.Unit, ctx Context, c *plan.Cleanup) {
	c.DynamicUser, c.DynamicGroup = DynamicNames(u)
	for _, kept := range ctx.KeepUsers {
		if kept == c.DynamicUser {
			c.DynamicUser = ""
		}
		if kept == c.DynamicGroup {
			c.DynamicGroup = ""
		}
	}
}

// Clean makes the plan that removes directories of an inactive unit for good.
// Kinds are words of "systemctl clean --what=": runtime, state, cache, logs,
// configuration. It is nil if the unit has none of them.
func Clean(u *unit.Unit, ctx Context, kinds []string) *plan.Plan {
	e := u.GetExec()
	prefixes := ctx.Prefixes
	if prefixes == (plan.Prefixes{}) {
		prefixes = SystemPrefixes
	}
	c := &plan.Cleanup{}
	for kind, d := range [plan.DirKinds]*unit.Directory{
		&e.RuntimeDirectory, &e.StateDirectory, &e.CacheDirectory, &e.LogsDirectory, &e.ConfigurationDirectory,
	} {
		for _, wanted := range kinds {
			if wanted == cleanNames[kind] || wanted == "all" {
				k := plan.DirectoryKind(kind)
				p := plan.Plan{DynamicUser: e.DynamicUser, PreserveRuntime: e.RuntimeDirectoryPreserve != "no"}
				addDirectories(c, prefixes, k, d, p.PrivateDirectory(k))
				break
			}
		}
	}
	if len(c.Directories) == 0 {
		return nil
	}
	return cleanupPlan(u.Name, ctx, c)
}

func addDirectories(c *plan.Cleanup, prefixes plan.Prefixes, kind plan.DirectoryKind, d *unit.Directory, private bool) {
	for _, item := range d.Items {
		c.Directories = append(c.Directories, plan.CleanupDirectory{Prefix: prefixes[kind], Path: item.Path, Private: private, Symlinks: item.Symlinks})
	}
}

var cleanNames = [plan.DirKinds]string{"runtime", "state", "cache", "logs", "configuration"}

// UtmpEnd makes the plan that closes the utmp record of an ended process, nil
// if the unit has none. Signal is 0 for a process that exited with status.
func UtmpEnd(u *unit.Unit, ctx Context, pid, signal, status int32) *plan.Plan {
	e := u.GetExec()
	if e.UtmpIdentifier == "" {
		return nil
	}
	return cleanupPlan(u.Name, ctx, &plan.Cleanup{
		Dead: &plan.Utmp{ID: e.UtmpIdentifier, Line: e.TTYPath}, DeadPID: pid, DeadSignal: signal, DeadStatus: status,
	})
}

func cleanupPlan(name string, ctx Context, c *plan.Cleanup) *plan.Plan {
	p := chore(name, ctx, "cleanup", "cleanup")
	p.Cleanup = c
	return p
}

// chore is a plan of the manager's own about a unit: the executor executes nothing.
func chore(name string, ctx Context, phase, reason string) *plan.Plan {
	return &plan.Plan{
		Unit: name, Phase: phase, UserMode: ctx.UserMode, Tier: plan.TierExecutor, Reasons: []string{reason},
		Paths: []string{phase}, Argv: []string{phase}, StatusFD: plan.None, IdleFD: plan.None, NUMAPolicy: -1,
	}
}
