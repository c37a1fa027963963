package unit

func pathOwnRows() []*Row {
	return []*Row{
		row(InPath, "DirectoryMode", kMode, inPath(func(b *Path) *uint32 { return &b.DirectoryMode }),
			"Access mode of directories made.", "0700", since(25), settable, full),
		row(InPath, "MakeDirectory", kBool, inPath(func(b *Path) *bool { return &b.MakeDirectory }),
			"Make the watched directories.", "yes", since(25), settable, full),
		row(InPath, "TriggerLimitBurst", kUint32, inPath(func(b *Path) *uint32 { return &b.TriggerLimitBurst }),
			"How many activations are allowed per span.", "200", since(250), settable, full),
		row(InPath, "TriggerLimitIntervalSec", kSec, inPath(func(b *Path) *uint64 { return &b.TriggerLimitIntervalUSec }),
			"Span over which activations are counted.", "2s", since(250), prop("TriggerLimitIntervalUSec"), settable, full),
		row(InPath, "Unit", kTriggered, inPath(func(b *Path) *string { return &b.Unit }),
			"Unit that is activated.", "spool.service", since(1), full),
	}
}
