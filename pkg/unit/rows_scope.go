package unit

func scopeRows() []*Row {
	return []*Row{
		row(InScope, "OOMPolicy", kScopeOOMPolicy, inScope(func(b *Scope) *Scope { return b }),
			"What happens to the scope when the kernel kills one of its processes for memory.", "continue", since(253), settable, full),
		row(InScope, "RuntimeMaxSec", kSec, inScope(func(b *Scope) *uint64 { return &b.RuntimeMaxUSec }),
			"How long the scope may be active before it is ended.", "1h", since(244), prop("RuntimeMaxUSec"), settable, full),
		row(InScope, "RuntimeRandomizedExtraSec", kSec, inScope(func(b *Scope) *uint64 { return &b.RuntimeRandomizedExtraUSec }),
			"Up to how much is added at random to RuntimeMaxSec=.", "5min", since(250), prop("RuntimeRandomizedExtraUSec"), settable, full),
		row(InScope, "TimeoutStopSec", kSecFixZero, inScope(func(b *Scope) *uint64 { return &b.TimeoutStopUSec }),
			"How long stopping may take.", "30s", since(207), prop("TimeoutStopUSec"), settable, full),
	}
}
