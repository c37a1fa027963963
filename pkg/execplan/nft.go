package execplan

import (
	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/unit"
)

// nftSets has the executor fill the sets of nftables before the program begins, so that rules about it hold from its first packet on.
func (b *builder) nftSets() error {
	if b.p.NFT = nftSets(b.u, b.ctx); b.p.NFT != nil {
		b.tier2("NFTSet")
	}
	return nil
}

// nftSets is nil in a user manager, which must not change the rules of the system.
func nftSets(u *unit.Unit, ctx *Context) *plan.NFT {
	if ctx.UserMode || !u.Type.HasCgroup() || len(u.GetCgroup().NFTSet) == 0 {
		return nil
	}
	n := &plan.NFT{CgroupDir: ctx.CgroupDir}
	for _, s := range u.GetCgroup().NFTSet {
		n.Sets = append(n.Sets, plan.NFTSet{Source: s.Source, Family: s.Family, Table: s.Table, Set: s.Set})
	}
	return n
}

// nftOwner is whom to take out of the sets. Nobody, while another unit is the same user.
func nftOwner(u *unit.Unit, ctx Context, c *plan.Cleanup) {
	n := nftSets(u, &ctx)
	if n == nil || ctx.KeepNFT {
		return
	}
	e := u.GetExec()
	owner := &plan.NFTOwner{User: e.User, Group: e.Group}
	if e.DynamicUser {
		owner.User, owner.Group = DynamicNames(u)
		owner.Dynamic = true
	}
	for _, s := range n.Sets {
		if s.Source != plan.NFTCgroup {
			owner.Sets = append(owner.Sets, s)
		}
	}
	if len(owner.Sets) > 0 {
		c.NFT = owner
	}
}
