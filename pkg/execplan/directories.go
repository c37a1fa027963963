package execplan

import (
	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/unit"
)

// directories are made by the executor, which owns the races with symbolic
// links that come with it.
func (b *builder) directories() error {
	b.p.Prefixes = b.ctx.Prefixes
	b.p.PreserveRuntime = b.e.RuntimeDirectoryPreserve != "no" && b.e.RuntimeDirectoryPreserve != ""
	if b.p.Prefixes == (plan.Prefixes{}) {
		b.p.Prefixes = SystemPrefixes
	}
	for kind, d := range [plan.DirKinds]*unit.Directory{
		&b.e.RuntimeDirectory, &b.e.StateDirectory, &b.e.CacheDirectory, &b.e.LogsDirectory, &b.e.ConfigurationDirectory,
	} {
		if len(d.Items) == 0 {
			continue
		}
		k := plan.DirectoryKind(kind)
		dir := plan.Directory{
			Kind: k, Mode: d.Mode, Accounting: d.Accounting, QuotaSet: d.Quota.Set, QuotaBytes: d.Quota.Bytes, QuotaScale: d.Quota.Scale,
			FailDegraded: !b.ctx.WarnDegraded,
		}
		for _, item := range d.Items {
			dir.Items = append(dir.Items, plan.DirectoryItem{Path: item.Path, Symlinks: item.Symlinks, ReadOnly: item.ReadOnly})
		}
		b.p.Directories = append(b.p.Directories, dir)
		b.tier2(k.Setting())
	}
	return nil
}
