package sandbox

import (
	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/kernel/nft"
	"github.com/muster-init/muster/pkg/spawn"
)

// fillSets puts the control group and the identity of the process into the sets of NFTSet=. A set that isn't there is told and keeps no service from
// starting: whoever loads the rules may not have done so yet, and fills them himself then.
func fillSets(r *run) *plan.Failure {
	for _, s := range r.p.NFT.Sets {
		var key []byte
		switch id := r.p.Identity; {
		case s.Source == plan.NFTCgroup:
			var st unix.Stat_t
			if r.p.NFT.CgroupDir == "" || unix.Stat(r.p.NFT.CgroupDir, &st) != nil {
				continue
			}
			key = nft.Key64(st.Ino)
		case id == nil:
			continue
		case s.Source == plan.NFTUser && id.HasUID:
			key = nft.Key32(id.UID)
		case s.Source == plan.NFTGroup:
			key = nft.Key32(id.GID)
		default:
			continue
		}
		if err := changeSet(true, s, key); err != nil && s.Source != plan.NFTCgroup { // of control groups the manager tells
			f := failed(0, "NFTSet", s.Table+":"+s.Set, err)
			f.Message += "; going on without"
			tell(r.p, f)
		}
	}
	return nil
}

func changeSet(add bool, s plan.NFTSet, key []byte) error {
	return nft.Change(add, nft.Element{Family: uint8(s.Family), Table: s.Table, Set: s.Set, Key: key})
}

// emptySets takes the user and the group of an ended unit out of its sets; its control group is gone, and the manager's to take out.
func emptySets(c *plan.NFTOwner) error {
	p := plan.Plan{User: c.User, Group: c.Group}
	if c.Dynamic {
		uid, ok := spawn.DynamicUser(c.User)
		if !ok {
			return nil
		}
		p.User, p.Identity = "", &plan.Identity{UID: uid, GID: uid, HasUID: true}
		if c.Group != "" {
			if gid, ok := spawn.DynamicUser(c.Group); ok {
				p.Identity.GID = gid
			}
		}
	}
	p.ChangeUser = p.User != "" || p.Group != ""
	r := run{p: &p, host: spawn.Host{UID: uint32(unix.Getuid())}}
	if f := resolveIdentity(&r); f != nil || p.Identity == nil {
		return nil // who isn't there any more was added by nobody
	}
	var first error
	for _, s := range c.Sets {
		key := nft.Key32(p.Identity.UID)
		switch {
		case s.Source == plan.NFTGroup:
			key = nft.Key32(p.Identity.GID)
		case s.Source != plan.NFTUser || !p.Identity.HasUID:
			continue
		}
		if err := changeSet(false, s, key); err != nil && first == nil {
			first = err
		}
	}
	return first
}
