package execplan

import (
	"fmt"
	"strconv"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/unit"
)

// pamHelper is where `make install` puts the program that opens PAM sessions.
const pamHelper = "/usr/lib/muster/muster-pam"

func rootIdentity() *plan.Identity {
	return &plan.Identity{Name: "root", Home: "/root", Shell: "/bin/sh", HasUID: true}
}

// identity decides who the program runs as. Only root is known without a
// look-up: even a numeric User= needs its entry for the group and the home
// directory.
func (b *builder) identity() error {
	e, p := b.e, b.p
	p.User, p.Group, p.SupplementaryGroups, p.DynamicUser = e.User, e.Group, e.SupplementaryGroups, e.DynamicUser
	p.ChangeUser = b.setuid && (p.User != "" || p.Group != "" || len(p.SupplementaryGroups) > 0 || p.DynamicUser)
	p.SetLogin = e.SetLoginEnvironment.Or(p.User != "" || p.DynamicUser || e.PAMName != "" || b.ctx.UserMode)
	if b.ctx.UserMode && p.User == "" && p.Group == "" && p.SetLogin {
		// The manager's environment has its own user's variables.
		_, ok := plan.LookupEnv(b.ctx.ManagerEnv, "USER")
		p.SetLogin = !ok
	}
	if p.DynamicUser {
		if b.ctx.UserMode {
			return fmt.Errorf("DynamicUser=: not available in a user manager")
		}
		if p.User == "" {
			p.User = unit.DynamicUserName(b.u.Name)
		}
		if p.Group == "" {
			p.Group = p.User
		}
	}
	if b.setuid && e.PAMName != "" {
		if p.User == "" { // the manager's own; no variables and no change follow from it
			p.User = strconv.FormatUint(uint64(b.ctx.UID), 10)
		}
		p.PAM = &plan.PAM{Service: e.PAMName, Helper: b.ctx.PAMHelper, UnsetEnv: e.UnsetEnvironment, Image: plan.None}
		if p.PAM.Helper == "" {
			p.PAM.Helper = pamHelper
		}
		b.tier2("PAMName")
	}
	if !p.ChangeUser && !p.SetLogin && p.User == "" {
		return nil
	}
	if b.rootOnly() {
		p.Identity = rootIdentity()
		if p.User == "" {
			p.Identity.HasUID = b.ctx.UID == 0
		}
		return nil
	}
	switch {
	case p.DynamicUser:
		b.tier2("DynamicUser")
	case p.User != "":
		b.tier2("User")
	case p.Group != "":
		b.tier2("Group")
	case len(p.SupplementaryGroups) > 0:
		b.tier2("SupplementaryGroups")
	default:
		b.tier2("SetLoginEnvironment")
	}
	return nil
}

// rootOnly: nothing but root is asked for.
func (b *builder) rootOnly() bool {
	p := b.p
	if p.DynamicUser || len(p.SupplementaryGroups) > 0 || (p.User != "" && p.User != "root" && p.User != "0") {
		return false
	}
	if p.User == "" && b.ctx.UID != 0 {
		return false
	}
	return p.Group == "" || p.Group == "root" || p.Group == "0"
}

// capabilities are left alone for privileged commands.
func (b *builder) capabilities() error {
	b.p.Bounding = ^uint64(0)
	if b.privileged {
		return nil
	}
	b.p.Bounding = b.e.CapabilityBoundingSet
	b.p.Ambient = b.e.AmbientCapabilities
	b.p.SecureBits = uint32(b.e.SecureBits)
	b.p.NoNewPrivs = b.e.NoNewPrivileges || b.e.DynamicUser
	return nil
}
