package seccomp

import (
	"sort"
	"testing"
)

// data is struct seccomp_data as words.
type data struct {
	nr, arch uint32
	args     [6]uint64
}

// run interprets a program the way the kernel does.
func run(t *testing.T, code []Insn, d data) Action {
	t.Helper()
	var a uint32
	for pc := 0; pc < len(code); pc++ {
		in := code[pc]
		skip := func(cond bool) {
			if cond {
				pc += int(in.JT)
			} else {
				pc += int(in.JF)
			}
		}
		switch in.Code {
		case ldWord:
			switch {
			case in.K == offNumber:
				a = d.nr
			case in.K == offArch:
				a = d.arch
			case in.K >= offArgs && in.K < offArgs+48 && in.K%8 == 0:
				a = uint32(d.args[(in.K-offArgs)/8])
			default:
				t.Fatalf("load of offset %d", in.K)
			}
		case jmp:
			pc += int(in.K)
		case jeq:
			skip(a == in.K)
		case jge:
			skip(a >= in.K)
		case jset:
			skip(a&in.K != 0)
		case and:
			a &= in.K
		case ret:
			return Action(in.K)
		default:
			t.Fatalf("instruction %#x", in.Code)
		}
	}
	t.Fatal("program runs off its end")
	return 0
}

func at(t *testing.T, arch int, name string, args ...uint64) data {
	t.Helper()
	nr := number(arch, name)
	if nr < 0 {
		t.Fatalf("%s has no number", name)
	}
	d := data{nr: uint32(nr), arch: auditArch[arch]}
	copy(d.args[:], args)
	return d
}

func TestTable(t *testing.T) {
	if !sort.SliceIsSorted(calls[:], func(i, j int) bool { return calls[i].name < calls[j].name }) {
		t.Error("calls are not sorted")
	}
	for _, c := range []struct {
		name string
		nr   [archs]int32
	}{
		{"execve", [archs]int32{59, 11, 221, 11}}, {"openat", [archs]int32{257, 295, 56, 322}},
		{"newfstatat", [archs]int32{262, -1, 79, -1}}, {"socketcall", [archs]int32{-1, 102, -1, -1}},
	} {
		if got, _ := findCall(c.name); got.nr != c.nr {
			t.Errorf("%s: %v, want %v", c.name, got.nr, c.nr)
		}
	}
	for _, g := range groups {
		if _, unknown := Expand([]string{g.name}); len(unknown) > 0 {
			t.Errorf("%s has unknown members %v", g.name, unknown)
		}
	}
}

func TestListAgainstSet(t *testing.T) {
	for _, machine := range []string{"amd64", "arm64"} {
		for _, allow := range []bool{true, false} {
			names := []string{"@system-service", "~@privileged", "~@resources", "getcwd:7"}
			code, unknown, err := List(machine, allow, names, Errno(1))
			if err != nil || len(unknown) > 0 {
				t.Fatal(err, unknown)
			}
			in := map[string]bool{}
			base := names[:1]
			if allow {
				base = append([]string{"@default"}, base...)
			}
			list, _ := Expand(base)
			for _, c := range list {
				in[c] = true
			}
			gone, _ := Expand([]string{"@privileged", "@resources"})
			for _, c := range gone {
				delete(in, c)
			}
			columns, _ := abis(machine)
			for _, arch := range columns {
				for _, c := range calls {
					if c.nr[arch] < 0 {
						continue
					}
					want := Errno(1)
					if in[c.name] == allow {
						want = Allow
					}
					if c.name == "getcwd" {
						want = Errno(7)
					}
					if got := run(t, code, data{nr: uint32(c.nr[arch]), arch: auditArch[arch]}); got != want {
						t.Fatalf("%s allow=%v arch %d %s: %#x, want %#x", machine, allow, arch, c.name, got, want)
					}
				}
				want := Allow
				if allow {
					want = Errno(enosys)
				}
				if got := run(t, code, data{nr: 3000, arch: auditArch[arch]}); got != want {
					t.Errorf("unknown call: %#x, want %#x", got, want)
				}
			}
			if got := run(t, code, data{nr: 1, arch: 0x1234}); got != KillProcess {
				t.Errorf("foreign architecture: %#x", got)
			}
		}
	}
}

func TestArguments(t *testing.T) {
	const clone, newUser, newNet = 17, 0x10000000, 0x40000000
	must := func(code []Insn, err error) []Insn {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return code
	}
	families := must(AddressFamilies("amd64", true, []uint32{1, 2, 10}))
	deny := must(AddressFamilies("amd64", false, []uint32{16}))
	spaces := must(Namespaces("amd64", 0))
	some := must(Namespaces("amd64", newNet))
	wx := must(WriteExecute("amd64"))
	rt := must(Realtime("amd64"))
	suid := must(SUIDSGID("amd64"))
	persona := must(Personality("amd64", 0))
	native := must(Architectures("amd64", []string{"native"}))
	e := Errno(1)
	for i, c := range []struct {
		code []Insn
		d    data
		want Action
	}{
		{families, at(t, archAMD64, "socket", 2), Allow},
		{families, at(t, archAMD64, "socket", 16), Errno(97)},
		{families, at(t, arch386, "socket", 16), Errno(97)},
		{families, at(t, archAMD64, "socket", 1<<32|16), Errno(97)},
		{families, at(t, archAMD64, "read", 16), Allow},
		{deny, at(t, archAMD64, "socket", 16), Errno(97)},
		{deny, at(t, archAMD64, "socket", 1), Allow},
		{spaces, at(t, archAMD64, "unshare", newUser), e},
		{spaces, at(t, archAMD64, "unshare", 0x400), Allow},
		{spaces, at(t, archAMD64, "clone", newUser|clone), e},
		{spaces, at(t, archAMD64, "clone", 0x3d0f00|clone), Allow},
		{spaces, at(t, archAMD64, "clone3"), Errno(enosys)},
		{spaces, at(t, archAMD64, "setns", 3, 0), e},
		{some, at(t, archAMD64, "unshare", newNet), Allow},
		{some, at(t, archAMD64, "unshare", newUser), e},
		{some, at(t, archAMD64, "setns", 3, newNet), Allow},
		{some, at(t, archAMD64, "setns", 3, 0), e},
		{some, at(t, archAMD64, "setns", 3, newUser), e},
		{wx, at(t, archAMD64, "mmap", 0, 4096, 7), e},
		{wx, at(t, archAMD64, "mmap", 0, 4096, 5), Allow},
		{wx, at(t, arch386, "mmap2", 0, 4096, 6), e},
		{wx, at(t, archAMD64, "mprotect", 0, 4096, 4), e},
		{wx, at(t, archAMD64, "mprotect", 0, 4096, 3), Allow},
		{rt, at(t, archAMD64, "sched_setscheduler", 0, 1), e},
		{rt, at(t, archAMD64, "sched_setscheduler", 0, 3), Allow},
		{suid, at(t, archAMD64, "chmod", 0, 0o4755), e},
		{suid, at(t, archAMD64, "chmod", 0, 0o1755), Allow},
		{suid, at(t, archAMD64, "openat", 0, 0, 0o101, 0o2644), e},
		{suid, at(t, archAMD64, "openat", 0, 0, 1, 0o2644), Allow},
		{suid, at(t, archAMD64, "fchmodat", 0, 0, 0o2000), e},
		{persona, at(t, archAMD64, "personality", 0xffffffff), Allow},
		{persona, at(t, archAMD64, "personality", 0), Allow},
		{persona, at(t, archAMD64, "personality", 8), e},
		{native, at(t, archAMD64, "read"), Allow},
		{native, at(t, arch386, "read"), KillProcess},
		{native, data{nr: x32Bit, arch: auditArch[archAMD64]}, KillProcess},
	} {
		if got := run(t, c.code, c.d); got != c.want {
			t.Errorf("case %d, call %d: %#x, want %#x", i, c.d.nr, got, c.want)
		}
	}
}

func TestBadNames(t *testing.T) {
	if _, unknown, err := List("amd64", true, []string{"no_such_call", "@no-group"}, KillProcess); err != nil || len(unknown) != 2 {
		t.Error(unknown, err)
	}
	if _, _, err := List("amd64", false, []string{"read:x"}, KillProcess); err == nil {
		t.Error("a bad errno is accepted")
	}
	if _, _, err := List("mips", false, []string{"read"}, KillProcess); err == nil {
		t.Error("a machine without tables is accepted")
	}
}

// TestLogList: SystemCallLog= never refuses anything.
func TestLogList(t *testing.T) {
	for _, c := range []struct {
		only  bool
		names []string
		call  string
		want  Action
	}{
		{true, []string{"@chown", "read"}, "chown", Log},
		{true, []string{"@chown", "read"}, "read", Log},
		{true, []string{"@chown", "read"}, "write", Allow},
		{false, []string{"@chown"}, "chown", Allow},
		{false, []string{"@chown"}, "write", Log},
	} {
		code, err := LogList("amd64", c.only, c.names)
		if err != nil {
			t.Fatal(err)
		}
		for _, arch := range []int{archAMD64, arch386} {
			if got := run(t, code, data{nr: uint32(number(arch, c.call)), arch: auditArch[arch]}); got != c.want {
				t.Errorf("only %v %v: %s on ABI %d: %#x, want %#x", c.only, c.names, c.call, arch, got, c.want)
			}
		}
	}
}
