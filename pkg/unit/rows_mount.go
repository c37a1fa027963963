package unit

func mountOwnRows() []*Row {
	return []*Row{
		row(InMount, "DirectoryMode", kMode, inMount(func(b *Mount) *uint32 { return &b.DirectoryMode }),
			"Access mode of directories made on the way.", "0755", since(1), settable, full),
		row(InMount, "ForceUnmount", kBool, inMount(func(b *Mount) *bool { return &b.ForceUnmount }),
			"Unmount even if the server is gone.", "yes", since(232), settable, full),
		row(InMount, "LazyUnmount", kBool, inMount(func(b *Mount) *bool { return &b.LazyUnmount }),
			"Detach at once, clean up later.", "yes", since(232), settable, full),
		row(InMount, "Options", kString, inMount(func(b *Mount) *string { return &b.Options }),
			"Mount options.", "noatime,nofail", since(1), settable, emits(EmitsTrue), full),
		row(InMount, "ReadWriteOnly", kBool, inMount(func(b *Mount) *bool { return &b.ReadWriteOnly }),
			"Don't fall back to a read-only mount.", "yes", since(246), settable, full),
		row(InMount, "SloppyOptions", kBool, inMount(func(b *Mount) *bool { return &b.SloppyOptions }),
			"Put up with options that aren't known.", "yes", since(215), settable, full),
		row(InMount, "TimeoutSec", kSecFixZero, inMount(func(b *Mount) *uint64 { return &b.TimeoutUSec }),
			"How long mounting may take.", "90s", since(1), prop("TimeoutUSec"), settable, full),
		row(InMount, "Type", kString, inMount(func(b *Mount) *string { return &b.Type }),
			"File system type.", "ext4", since(1), settable, emits(EmitsTrue), full),
		row(InMount, "What", kString, inMount(func(b *Mount) *string { return &b.What }),
			"What is mounted.", "/dev/sda1", since(1), settable, emits(EmitsTrue), full),
		row(InMount, "Where", kPath, inMount(func(b *Mount) *string { return &b.Where }),
			"Where it is mounted; the unit's name must say the same.", "/srv", since(1), settable, full),
	}
}

func automountRows() []*Row {
	return []*Row{
		row(InAutomount, "DirectoryMode", kMode, inAutomount(func(b *Automount) *uint32 { return &b.DirectoryMode }),
			"Access mode of directories made on the way.", "0755", since(1), settable, full),
		row(InAutomount, "ExtraOptions", kString, inAutomount(func(b *Automount) *string { return &b.ExtraOptions }),
			"Options of the autofs mount.", "context=x", since(250), settable, full),
		row(InAutomount, "TimeoutIdleSec", kSecFixZero, inAutomount(func(b *Automount) *uint64 { return &b.TimeoutIdleUSec }),
			"Unmount after this time without use.", "5min", since(220), prop("TimeoutIdleUSec"), settable, full),
		row(InAutomount, "Where", kPath, inAutomount(func(b *Automount) *string { return &b.Where }),
			"Where the automount point is.", "/srv", since(1), settable, full),
	}
}

func swapRows() []*Row {
	return []*Row{
		row(InSwap, "Options", kString, inSwap(func(b *Swap) *string { return &b.Options }),
			"Swap options.", "discard", since(217), settable, emits(EmitsTrue), full),
		row(InSwap, "Priority", kOptInt32(-1, 32767, -1), inSwap(func(b *Swap) *Opt[int32] { return &b.Priority }),
			"Swap priority.", "10", since(1), settable, emits(EmitsTrue), full),
		row(InSwap, "TimeoutSec", kSecFixZero, inSwap(func(b *Swap) *uint64 { return &b.TimeoutUSec }),
			"How long swapping on may take.", "90s", since(17), prop("TimeoutUSec"), settable, full),
		row(InSwap, "What", kString, inSwap(func(b *Swap) *string { return &b.What }),
			"Device or file to swap to.", "/dev/sda2", since(1), settable, emits(EmitsTrue), full),
	}
}
