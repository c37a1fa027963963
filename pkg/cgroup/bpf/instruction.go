package bpf

import "encoding/binary"

// instruction is struct bpf_insn.
type instruction struct {
	code uint8
	regs uint8 // destination and source
	off  int16
	imm  int32
}

// littleEndian is the byte order of the machine: the two registers are bit fields, which follow it.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

func regs(dst, src uint8) uint8 {
	if littleEndian {
		return dst | src<<4
	}
	return dst<<4 | src
}

// The registers: r0 is the result, r1–r5 are arguments and lost in a call, r6–r9 are kept, r10 is the frame.
const (
	r0 = iota
	r1
	r2
	r3
	r4
	r5
	r6
	r7
	r8
	r9
	r10
)

// Opcodes used here, each with its operands in the standard's notation.
const (
	opMovImm   = 0xb7 // dst = imm
	opMovReg   = 0xbf // dst = src
	opAddImm   = 0x07 // dst += imm
	opAndImm   = 0x57 // dst &= imm
	opRshImm   = 0x77 // dst >>= imm
	opLoadImm  = 0x18 // dst = a 64-bit value or a map; takes two instructions
	opLoad32   = 0x61 // dst = *(u32 *)(src + off)
	opStore32  = 0x63 // *(u32 *)(dst + off) = src
	opStoreImm = 0x62 // *(u32 *)(dst + off) = imm
	opAdd64    = 0xdb // atomic: *(u64 *)(dst + off) += src
	opCall     = 0x85
	opExit     = 0x95
	opToBE     = 0xdc // dst = htobe(dst), of imm bits

	jumpEqual  = 0x15 // 64 bit
	jumpNE32   = 0x56 // 32 bit
	jumpLess32 = 0xa6
	jumpMore32 = 0x26
)

// Helpers of the kernel (bpf-helpers(7)).
const (
	helperLookup    = 1  // bpf_map_lookup_elem
	helperLoadBytes = 26 // bpf_skb_load_bytes
)

// What the source register of opLoadImm says about the value.
const (
	pseudoMap      = 1 // a map, by descriptor
	pseudoMapValue = 2 // the address of the first value of an array
)

// assembler collects instructions; jumps go forward only.
type assembler struct{ code []instruction }

func (a *assembler) add(code, dst, src uint8, off int16, imm int32) {
	a.code = append(a.code, instruction{code, regs(dst, src), off, imm})
}

func (a *assembler) mov(dst uint8, imm int32) { a.add(opMovImm, dst, 0, 0, imm) }
func (a *assembler) copy(dst, src uint8)      { a.add(opMovReg, dst, src, 0, 0) }
func (a *assembler) load(dst, src uint8, off int16) {
	a.add(opLoad32, dst, src, off, 0)
}
func (a *assembler) call(helper int32) { a.add(opCall, 0, 0, 0, helper) }

// verdict ends the program.
func (a *assembler) verdict(v int32) {
	a.mov(r0, v)
	a.add(opExit, 0, 0, 0, 0)
}

// mapRef loads a reference to a map.
func (a *assembler) mapRef(dst uint8, fd int, pseudo uint8) {
	a.add(opLoadImm, dst, pseudo, 0, int32(fd))
	a.add(0, 0, 0, 0, 0)
}

// branch adds a jump whose target is set by [assembler.land].
func (a *assembler) branch(code, dst uint8, imm int32) int {
	a.add(code, dst, 0, 0, imm)
	return len(a.code) - 1
}

// land makes the jumps lead to the next instruction.
func (a *assembler) land(from ...int) {
	for _, i := range from {
		a.code[i].off = int16(len(a.code) - i - 1)
	}
}

// onlyIf skips what comes up to the matching land unless the 32-bit register equals v.
func (a *assembler) onlyIf(reg uint8, v uint32) int { return a.branch(jumpNE32, reg, int32(v)) }

// bigEndian16 is a number as it stands in a packet, read as a number of the machine.
func bigEndian16(v uint16) uint32 {
	return uint32(binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v)))
}
