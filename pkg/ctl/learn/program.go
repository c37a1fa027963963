package learn

import (
	"encoding/binary"
	"fmt"
	"runtime"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// An event as the programs write it, in bytes. The numbers are of the machine's own byte order.
const (
	offUnit  = 0 // inode of the unit's control group
	offCall  = 8
	offArgs  = 16 // six arguments
	offPID   = 64 // as in our namespace, then the id of the thread group
	offExit  = 72 // what the call returned
	offExtra = 80 // the word an argument points to
	offPath  = 88
	pathRoom = 256
	sizeOf   = offPath + pathRoom
)

// Keys of the counters that are no system calls.
const (
	keyCapability = 1 << 16 // plus the capability; the argument is the call it was asked for in
	keyLost       = 1 << 20
)

// Bounds of what the kernel keeps for us.
const (
	countersMax = 1 << 16
	threadsMax  = 1 << 14
	ringBytes   = 1 << 23
	levelsMax   = 12 // control groups above a service
)

// row says which arguments of a call are noted. It is read by the program: no padding.
type row struct {
	Arg   uint32 // counted by its value: 1 is the first argument, 0 none
	Deref uint32 // the argument points to the value
	Mask  uint64
	Path  uint32 // the argument that is a path
	Raw   uint32 // … or an address of a socket
}

// probe builds the programs.
type probe struct {
	preparing                       []string // names of processes that are yet to execute the service
	slice                           uint64   // inode of the group that the unit's is in
	dev, ino                        uint64   // of our process id namespace
	seen, rows, pending, calls, tmp *ebpf.Map
	others, ring                    *ebpf.Map
}

const exitLabel = "exit"

// prologue leaves at once unless the process is one of a unit in the slice; r6 is the context, r8 the unit.
func (p *probe) prologue() asm.Instructions {
	code := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, -16), asm.Mov.Imm(asm.R2, 16),
		asm.FnGetCurrentComm.Call(),
		asm.LoadMem(asm.R1, asm.RFP, -16, asm.Byte),
		asm.JEq.Imm(asm.R1, '(', exitLabel), // systemd's executor calls itself so
		// Executed by its descriptor it has the number as its name before Linux 6.14.
		asm.JLT.Imm(asm.R1, '0', "names"),
		asm.JGT.Imm(asm.R1, '9', "names"),
		asm.LoadMem(asm.R1, asm.RFP, -15, asm.Byte),
		asm.JEq.Imm(asm.R1, 0, exitLabel),
		asm.LoadMem(asm.R1, asm.RFP, -14, asm.Byte),
		asm.JEq.Imm(asm.R1, 0, exitLabel),
		asm.LoadMem(asm.R1, asm.RFP, -16, asm.DWord).WithSymbol("names"),
		asm.LoadMem(asm.R2, asm.RFP, -8, asm.DWord),
	}
	for i, name := range p.preparing {
		var comm [16]byte
		copy(comm[:15], name)
		next := fmt.Sprintf("name%d", i)
		code = append(code,
			asm.LoadImm(asm.R3, int64(binary.NativeEndian.Uint64(comm[:])), asm.DWord),
			asm.JNE.Reg(asm.R1, asm.R3, next),
			asm.LoadImm(asm.R3, int64(binary.NativeEndian.Uint64(comm[8:])), asm.DWord),
			asm.JEq.Reg(asm.R2, asm.R3, exitLabel),
			asm.Mov.Reg(asm.R3, asm.R1).WithSymbol(next),
		)
	}
	code = append(code, asm.LoadImm(asm.R9, int64(p.slice), asm.DWord))
	for level := range levelsMax {
		next := fmt.Sprintf("level%d", level+1)
		i := asm.Mov.Imm(asm.R1, int32(level))
		if level > 0 {
			i = i.WithSymbol(fmt.Sprintf("level%d", level))
		}
		code = append(code, i,
			asm.FnGetCurrentAncestorCgroupId.Call(),
			asm.JNE.Reg(asm.R0, asm.R9, next),
			asm.Mov.Imm(asm.R1, int32(level+1)),
			asm.FnGetCurrentAncestorCgroupId.Call(),
			asm.Mov.Reg(asm.R8, asm.R0),
			asm.Ja.Label("found"),
		)
	}
	return append(code,
		asm.Ja.Label(exitLabel).WithSymbol(fmt.Sprintf("level%d", levelsMax)),
		asm.JEq.Imm(asm.R8, 0, exitLabel).WithSymbol("found"),
		asm.StoreMem(asm.RFP, -8, asm.R8, asm.DWord),
		asm.LoadMapPtr(asm.R1, p.others.FD()), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -8),
		asm.FnMapLookupElem.Call(),
		asm.JNE.Imm(asm.R0, 0, exitLabel),
	)
}

// bump counts the key at fp-40, using name for its labels.
func (p *probe) bump(name string) asm.Instructions {
	return asm.Instructions{
		asm.LoadMapPtr(asm.R1, p.seen.FD()), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -40),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, name+"new"),
		asm.Mov.Imm(asm.R1, 1),
		asm.StoreXAdd(asm.R0, asm.R1, asm.DWord),
		asm.Ja.Label(name + "done"),
		asm.Mov.Imm(asm.R1, 1).WithSymbol(name + "new"),
		asm.StoreMem(asm.RFP, -48, asm.R1, asm.DWord),
		asm.LoadMapPtr(asm.R1, p.seen.FD()), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -40),
		asm.Mov.Reg(asm.R3, asm.RFP), asm.Add.Imm(asm.R3, -48), asm.Mov.Imm(asm.R4, 0),
		asm.FnMapUpdateElem.Call(),
		asm.Mov.Imm(asm.R0, 0).WithSymbol(name + "done"),
	}
}

// registers are where struct pt_regs has the six arguments, and how much of it is read.
func registers() (offsets [6]int16, size int32) {
	if runtime.GOARCH == "arm64" {
		return [6]int16{0, 8, 16, 24, 32, 40}, 48
	}
	return [6]int16{112, 104, 96, 56, 72, 64}, 120
}

// enter is at sys_enter(struct pt_regs *, long number).
func (p *probe) enter() asm.Instructions {
	const regs = -184
	code := append(p.prologue(),
		asm.Mov.Imm(asm.R1, 0),
		asm.StoreMem(asm.RFP, -16, asm.R1, asm.DWord),
		asm.LoadMapPtr(asm.R1, p.tmp.FD()), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -16),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, exitLabel),
		asm.Mov.Reg(asm.R7, asm.R0),
		asm.StoreMem(asm.R7, offUnit, asm.R8, asm.DWord),
		asm.LoadMem(asm.R1, asm.R6, 8, asm.DWord),
		asm.StoreMem(asm.R7, offCall, asm.R1, asm.DWord),
		asm.Mov.Imm(asm.R1, 0),
		asm.StoreMem(asm.R7, offExtra, asm.R1, asm.DWord),
	)
	offsets, size := registers()
	code = append(code,
		asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, regs), asm.Mov.Imm(asm.R2, size),
		asm.LoadMem(asm.R3, asm.R6, 0, asm.DWord),
		asm.FnProbeReadKernel.Call(),
		asm.JNE.Imm(asm.R0, 0, exitLabel),
	)
	for i, off := range offsets {
		code = append(code, asm.LoadMem(asm.R1, asm.RFP, regs+off, asm.DWord), asm.StoreMem(asm.R7, int16(offArgs+8*i), asm.R1, asm.DWord))
	}
	code = append(code,
		// The call a capability is asked for in.
		asm.FnGetCurrentPidTgid.Call(),
		asm.StoreMem(asm.RFP, -8, asm.R0, asm.DWord),
		asm.LoadMapPtr(asm.R1, p.calls.FD()), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -8),
		asm.Mov.Reg(asm.R3, asm.R7), asm.Add.Imm(asm.R3, offCall), asm.Mov.Imm(asm.R4, 0),
		asm.FnMapUpdateElem.Call(),
		asm.LoadMem(asm.R1, asm.R7, offCall, asm.DWord),
		asm.StoreMem(asm.RFP, -16, asm.R1, asm.Word),
		asm.LoadMapPtr(asm.R1, p.rows.FD()), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -16),
		asm.FnMapLookupElem.Call(),
		asm.Mov.Reg(asm.R9, asm.R0),
		asm.Mov.Imm(asm.R8, 0),
		asm.JEq.Imm(asm.R9, 0, "count"),
		asm.LoadMem(asm.R1, asm.R9, 0, asm.Word),
		asm.JEq.Imm(asm.R1, 0, "count"),
		asm.Add.Imm(asm.R1, -1), asm.And.Imm(asm.R1, 7), asm.LSh.Imm(asm.R1, 3),
		asm.Mov.Reg(asm.R2, asm.R7), asm.Add.Reg(asm.R2, asm.R1),
		asm.LoadMem(asm.R8, asm.R2, offArgs, asm.DWord),
		asm.LoadMem(asm.R1, asm.R9, 4, asm.Word),
		asm.JEq.Imm(asm.R1, 0, "mask"),
		asm.Mov.Reg(asm.R1, asm.R7), asm.Add.Imm(asm.R1, offExtra), asm.Mov.Imm(asm.R2, 8), asm.Mov.Reg(asm.R3, asm.R8),
		asm.FnProbeReadUser.Call(),
		asm.LoadMem(asm.R8, asm.R7, offExtra, asm.DWord),
		asm.LoadMem(asm.R1, asm.R9, 8, asm.DWord).WithSymbol("mask"),
		asm.And.Reg(asm.R8, asm.R1),
		asm.LoadMem(asm.R1, asm.R7, offUnit, asm.DWord).WithSymbol("count"),
		asm.StoreMem(asm.RFP, -40, asm.R1, asm.DWord),
		asm.LoadMem(asm.R1, asm.R7, offCall, asm.DWord),
		asm.StoreMem(asm.RFP, -32, asm.R1, asm.Word),
		asm.StoreMem(asm.RFP, -28, asm.R8, asm.Word),
	)
	code = append(code, p.bump("seen")...)
	return append(code,
		asm.JEq.Imm(asm.R9, 0, exitLabel),
		asm.LoadMem(asm.R1, asm.R9, 16, asm.Word),
		asm.JEq.Imm(asm.R1, 0, exitLabel),
		asm.Add.Imm(asm.R1, -1), asm.And.Imm(asm.R1, 7), asm.LSh.Imm(asm.R1, 3),
		asm.Mov.Reg(asm.R2, asm.R7), asm.Add.Reg(asm.R2, asm.R1),
		asm.LoadMem(asm.R3, asm.R2, offArgs, asm.DWord),
		asm.LoadMem(asm.R4, asm.R9, 20, asm.Word),
		asm.Mov.Reg(asm.R1, asm.R7), asm.Add.Imm(asm.R1, offPath),
		asm.JNE.Imm(asm.R4, 0, "address"),
		asm.Mov.Imm(asm.R2, pathRoom),
		asm.FnProbeReadUserStr.Call(),
		asm.JSLT.Imm(asm.R0, 0, exitLabel),
		asm.Ja.Label("whose"),
		asm.Mov.Imm(asm.R2, 110).WithSymbol("address"), // struct sockaddr_un
		asm.FnProbeReadUser.Call(),
		asm.JNE.Imm(asm.R0, 0, exitLabel),
		asm.LoadImm(asm.R1, int64(p.dev), asm.DWord).WithSymbol("whose"), asm.LoadImm(asm.R2, int64(p.ino), asm.DWord),
		asm.Mov.Reg(asm.R3, asm.R7), asm.Add.Imm(asm.R3, offPID), asm.Mov.Imm(asm.R4, 8),
		asm.FnGetNsCurrentPidTgid.Call(),
		asm.LoadMapPtr(asm.R1, p.pending.FD()), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -8),
		asm.Mov.Reg(asm.R3, asm.R7), asm.Mov.Imm(asm.R4, 0),
		asm.FnMapUpdateElem.Call(),
		asm.Mov.Imm(asm.R0, 0).WithSymbol(exitLabel),
		asm.Return(),
	)
}

// leave is at sys_exit(struct pt_regs *, long result): it sends what came through.
func (p *probe) leave() asm.Instructions {
	const inProgress = -115 // a connection that is being made
	code := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.FnGetCurrentPidTgid.Call(),
		asm.StoreMem(asm.RFP, -8, asm.R0, asm.DWord),
		asm.LoadMapPtr(asm.R1, p.pending.FD()), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -8),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, exitLabel),
		asm.Mov.Reg(asm.R7, asm.R0),
		asm.LoadMem(asm.R1, asm.R6, 8, asm.DWord),
		asm.StoreMem(asm.R7, offExit, asm.R1, asm.DWord),
		asm.JSGE.Imm(asm.R1, 0, "send"),
		asm.JNE.Imm(asm.R1, inProgress, "forget"),
		asm.LoadMapPtr(asm.R1, p.ring.FD()).WithSymbol("send"),
		asm.Mov.Reg(asm.R2, asm.R7), asm.Mov.Imm(asm.R3, sizeOf), asm.Mov.Imm(asm.R4, 0),
		asm.FnRingbufOutput.Call(),
		asm.JEq.Imm(asm.R0, 0, "forget"),
		asm.LoadMem(asm.R1, asm.R7, offUnit, asm.DWord),
		asm.StoreMem(asm.RFP, -40, asm.R1, asm.DWord),
		asm.StoreImm(asm.RFP, -32, keyLost, asm.Word), asm.StoreImm(asm.RFP, -28, 0, asm.Word),
	}
	code = append(code, p.bump("lost")...)
	return append(code,
		asm.LoadMapPtr(asm.R1, p.pending.FD()).WithSymbol("forget"), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -8),
		asm.FnMapDeleteElem.Call(),
		asm.Mov.Imm(asm.R0, 0).WithSymbol(exitLabel),
		asm.Return(),
	)
}

// capable is at cap_capable(cred, namespace, namespace, int capability, int result), since Linux 6.14.
func (p *probe) capable() asm.Instructions {
	code := append(p.prologue(),
		asm.LoadMem(asm.R1, asm.R6, 32, asm.DWord),
		asm.LSh.Imm(asm.R1, 32),
		asm.JNE.Imm(asm.R1, 0, exitLabel), // refused
		asm.LoadMem(asm.R1, asm.R6, 24, asm.DWord),
		asm.And.Imm(asm.R1, 63), asm.Add.Imm(asm.R1, keyCapability),
		asm.StoreMem(asm.RFP, -40, asm.R8, asm.DWord),
		asm.StoreMem(asm.RFP, -32, asm.R1, asm.Word),
		asm.FnGetCurrentPidTgid.Call(),
		asm.StoreMem(asm.RFP, -8, asm.R0, asm.DWord),
		asm.LoadMapPtr(asm.R1, p.calls.FD()), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -8),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, exitLabel),
		asm.LoadMem(asm.R1, asm.R0, 0, asm.DWord),
		asm.StoreMem(asm.RFP, -28, asm.R1, asm.Word),
	)
	code = append(code, p.bump("cap")...)
	return append(code, asm.Mov.Imm(asm.R0, 0).WithSymbol(exitLabel), asm.Return())
}
