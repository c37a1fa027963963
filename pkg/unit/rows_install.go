package unit

func installRows() []*Row {
	return []*Row{
		row(InInstall, "Alias", kUnitNames, inInstall(func(b *Install) *[]string { return &b.Alias }),
			"Further names the unit gets when it is enabled.", "syslog.service", since(1), full),
		row(InInstall, "Also", kUnitNames, inInstall(func(b *Install) *[]string { return &b.Also }),
			"Units that are enabled and disabled together with this one.", "foo.socket", since(1), full),
		row(InInstall, "DefaultInstance", kRawInstance, inInstall(func(b *Install) *string { return &b.DefaultInstance }),
			"Instance a template is enabled with when none is named.", "tty1", since(215), full),
		row(InInstall, "RequiredBy", kUnitNames, inInstall(func(b *Install) *[]string { return &b.RequiredBy }),
			"Units that get Requires= on this one when it is enabled.", "local-fs.target", since(183), full),
		row(InInstall, "UpheldBy", kUnitNames, inInstall(func(b *Install) *[]string { return &b.UpheldBy }),
			"Units that get Upholds= on this one when it is enabled.", "web.service", since(254), full),
		row(InInstall, "WantedBy", kUnitNames, inInstall(func(b *Install) *[]string { return &b.WantedBy }),
			"Units that get Wants= on this one when it is enabled.", "multi-user.target", since(1), full),
	}
}
