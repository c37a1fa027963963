package bpf

import "golang.org/x/sys/unix"

// A BindRule matches local addresses of sockets: 0 as family or protocol is any; Count ports from Port on, Count 0 is every port.
type BindRule struct {
	Family, Protocol int32
	Count, Port      uint16
}

// bindProgram runs at bind(2): what an allow rule matches passes, then what a deny rule matches doesn't, the rest does.
func bindProgram(allow, deny []BindRule, family int32) []instruction {
	const portReg, protocolReg = r2, r3
	var a assembler
	a.load(portReg, r1, 24)     // bpf_sock_addr.user_port
	a.load(protocolReg, r1, 36) // .protocol
	a.add(opToBE, portReg, 0, 0, 16)
	open := true // what comes next can be reached
	rules := func(list []BindRule, verdict int32) {
		for _, r := range list {
			if !open || r.Family != 0 && r.Family != family {
				continue
			}
			var skip []int
			if r.Protocol != 0 {
				skip = append(skip, a.onlyIf(protocolReg, uint32(r.Protocol)))
			}
			if r.Count != 0 {
				last := min(uint32(r.Port)+uint32(r.Count)-1, 0xffff)
				skip = append(skip, a.branch(jumpLess32, portReg, int32(r.Port)), a.branch(jumpMore32, portReg, int32(last)))
			}
			a.verdict(verdict)
			a.land(skip...)
			open = len(skip) > 0
		}
	}
	rules(allow, 1)
	rules(deny, 0)
	if open {
		a.verdict(1)
	}
	return a.code
}

func loadBind(allow, deny []BindRule, at AttachType) (Program, error) {
	family := int32(unix.AF_INET)
	if at == unix.BPF_CGROUP_INET6_BIND {
		family = unix.AF_INET6
	}
	return load(nameBind, unix.BPF_PROG_TYPE_CGROUP_SOCK_ADDR, at, bindProgram(allow, deny, family))
}

// interfacesProgram lets packets pass on the listed interfaces only, or on all others.
func interfacesProgram(indexes []uint32, deny bool) []instruction {
	var a assembler
	a.load(r2, r1, 40) // __sk_buff.ifindex
	match, rest := int32(1), int32(0)
	if deny {
		match, rest = 0, 1
	}
	for _, index := range indexes {
		skip := a.onlyIf(r2, index)
		a.verdict(match)
		a.land(skip)
	}
	a.verdict(rest)
	return a.code
}

func loadInterfaces(indexes []uint32, deny bool, at AttachType) (Program, error) {
	return load(nameInterfaces, unix.BPF_PROG_TYPE_CGROUP_SKB, at, interfacesProgram(indexes, deny))
}

// boundProgram binds each new socket to an interface, as SO_BINDTODEVICE does.
func boundProgram(index uint32) []instruction {
	var a assembler
	a.mov(r2, int32(index))
	a.add(opStore32, r1, r2, 0, 0) // bpf_sock.bound_dev_if
	a.verdict(1)
	return a.code
}

func loadBound(index uint32) (Program, error) {
	return load(nameBound, unix.BPF_PROG_TYPE_CGROUP_SOCK, unix.BPF_CGROUP_INET_SOCK_CREATE, boundProgram(index))
}
