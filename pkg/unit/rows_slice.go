package unit

func sliceRows() []*Row {
	return []*Row{
		row(InSlice, "ActivatingConcurrencyMax", kCountMax, inSlice(func(b *Slice) *uint32 { return &b.ActivatingConcurrencyMax }),
			"How many units of the slice may be starting at once.", "4", since(262), emits(EmitsFalse), full),
		row(InSlice, "ConcurrencyHardMax", kCountMax, inSlice(func(b *Slice) *uint32 { return &b.ConcurrencyHardMax }),
			"How many units may be in the slice; further ones fail to start.", "20", since(258), emits(EmitsFalse), full),
		row(InSlice, "ConcurrencySoftMax", kCountMax, inSlice(func(b *Slice) *uint32 { return &b.ConcurrencySoftMax }),
			"How many units may be active in the slice; further ones wait.", "10", since(258), emits(EmitsFalse), full),
	}
}
