package unit

import "net/netip"

func cgroupDeviceRows() []*Row {
	return []*Row{
		row(InCgroup, "BPFProgram", kBPFProgram, inCgroup(func(b *Cgroup) *[]BPFProgram { return &b.BPFProgram }),
			"BPF programs attached to the control group.", "egress:/sys/fs/bpf/out", since(249), emits(EmitsFalse), settable, full),
		row(InCgroup, "BindNetworkInterface", kRawChecked("interface", interfaceValid), inCgroup(func(b *Cgroup) *string { return &b.BindNetworkInterface }),
			"Interface all sockets are bound to.", "vrf-web", since(260), emits(EmitsFalse), full),
		row(InCgroup, "CoredumpReceive", kBool, inCgroup(func(b *Cgroup) *bool { return &b.CoredumpReceive }),
			"Core dumps of a container are handled inside.", "yes", since(255), emits(EmitsFalse), settable, full),
		row(InCgroup, "DeviceAllow", kDeviceAllow, inCgroup(func(b *Cgroup) *[]DeviceRule { return &b.DeviceAllow }),
			"Devices that may be used.", "/dev/sda rw", since(34), emits(EmitsFalse), atRuntime, full),
		row(InCgroup, "DevicePolicy", kEnum("auto", "closed", "strict"), inCgroup(func(b *Cgroup) *string { return &b.DevicePolicy }),
			"Which devices may be used without being named.", "closed", since(205), emits(EmitsFalse), atRuntime, full),
		row(InCgroup, "IPAddressAllow", kPrefixes, inCgroup(func(b *Cgroup) *[]netip.Prefix { return &b.IPAddressAllow }),
			"Addresses traffic is allowed with.", "10.0.0.0/8 localhost", since(235), emits(EmitsFalse), atRuntime, full),
		row(InCgroup, "IPAddressDeny", kPrefixes, inCgroup(func(b *Cgroup) *[]netip.Prefix { return &b.IPAddressDeny }),
			"Addresses traffic is denied with.", "any", since(235), emits(EmitsFalse), atRuntime, full),
		row(InCgroup, "IPEgressFilterPath", kPaths, inCgroup(func(b *Cgroup) *[]string { return &b.IPEgressFilterPath }),
			"BPF programs that filter outgoing packets.", "/sys/fs/bpf/out", since(243), emits(EmitsFalse), settable, full),
		row(InCgroup, "IPIngressFilterPath", kPaths, inCgroup(func(b *Cgroup) *[]string { return &b.IPIngressFilterPath }),
			"BPF programs that filter incoming packets.", "/sys/fs/bpf/in", since(243), emits(EmitsFalse), settable, full),
		row(InCgroup, "NFTSet", kNFTSet, inCgroup(func(b *Cgroup) *[]NFTSet { return &b.NFTSet }),
			"Netfilter sets that get the control group's id.", "cgroup:inet:filter:web", since(255), emits(EmitsFalse), atRuntime, full),
		row(InCgroup, "RestrictNetworkInterfaces", kInterfaces, inCgroup(func(b *Cgroup) *FilterList { return &b.RestrictNetworkInterfaces }),
			"Network interfaces that may be used.", "eth0 lo", since(250), emits(EmitsFalse), atRuntime, full),
		row(InCgroup, "SocketBindAllow", kSocketBind, inCgroup(func(b *Cgroup) *[]SocketBindRule { return &b.SocketBindAllow }),
			"Ports sockets may be bound to.", "ipv6:tcp:1024-2048", since(249), emits(EmitsFalse), atRuntime, full),
		row(InCgroup, "SocketBindDeny", kSocketBind, inCgroup(func(b *Cgroup) *[]SocketBindRule { return &b.SocketBindDeny }),
			"Ports sockets may not be bound to.", "any", since(249), emits(EmitsFalse), atRuntime, full),
	}
}
