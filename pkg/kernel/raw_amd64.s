#include "textflag.h"

// Header and record offsets are those of arena.go.

// func rawSpawn(hdr, ops unsafe.Pointer) (ret int)
//
// One routine, so that no Go code runs between blocking the signals and
// restoring them. The child never leaves it: it has its own stack (unused, but
// clone3 with CLONE_VM wants one) and touches only hdr and ops.
TEXT ·rawSpawn(SB),NOSPLIT|NOFRAME,$0-24
	MOVQ	hdr+0(FP), R12
	MOVQ	ops+8(FP), BX
	MOVQ	$14, AX               // rt_sigprocmask(SIG_SETMASK, all, old)
	MOVQ	$2, DI
	LEAQ	40(R12), SI
	LEAQ	48(R12), DX
	MOVQ	$8, R10
	SYSCALL
	MOVQ	$435, AX              // clone3
	LEAQ	128(R12), DI
	MOVQ	$88, SI
	SYSCALL
	TESTQ	AX, AX
	JEQ	child
	MOVQ	AX, R13
	MOVQ	$14, AX               // rt_sigprocmask(SIG_SETMASK, old)
	MOVQ	$2, DI
	LEAQ	48(R12), SI
	XORL	DX, DX
	MOVQ	$8, R10
	SYSCALL
	MOVQ	R13, ret+16(FP)
	RET

child:
	XORL	R13, R13              // op index
loop:
	MOVQ	R13, 24(R12)
	MOVQ	0(BX), AX
	CMPQ	AX, $0
	JLT	pseudo
	MOVQ	8(BX), DI
	MOVQ	16(BX), SI
	MOVQ	24(BX), DX
	MOVQ	32(BX), R10
	MOVQ	40(BX), R8
	MOVQ	48(BX), R9
	SYSCALL
	MOVQ	AX, 64(BX)
	CMPQ	AX, $-4096
	JLS	next                  // unsigned: only -4095..-1 are errors
	MOVQ	56(BX), DI
	TESTQ	DI, DI
	JEQ	next
	NEGQ	AX
	MOVL	72(BX), CX            // up to four tolerated errnos, a byte each
tolerated:
	MOVBLZX	CX, DX
	CMPQ	AX, DX
	JEQ	next
	SHRL	$8, CX
	JNE	tolerated
	MOVQ	R13, 16(R12)
	MOVQ	AX, 8(R12)
die:
	MOVQ	$231, AX              // exit_group(status)
	SYSCALL
	JMP	die
next:
	ADDQ	$80, BX
	INCQ	R13
	JMP	loop

pseudo:
	MOVQ	8(BX), SI
	CMPQ	AX, $-1
	JNE	pidstr
	MOVQ	(SI), AX              // -1: *arg1 = *arg0
	MOVQ	16(BX), DI
	MOVQ	AX, (DI)
	JMP	next

pidstr:
	CMPQ	AX, $-2
	JNE	number
	MOVQ	$39, AX               // -2: getpid as decimal text at arg0
	SYSCALL
	MOVQ	AX, 64(BX)
	JMP	text
number:
	MOVQ	16(BX), DI            // -3: *arg1 as decimal text at arg0
	MOVQ	(DI), AX
text:
	MOVQ	8(BX), DI
	LEAQ	80(R12), SI           // digits are made backwards from the end of the scratch
	MOVQ	SI, R9
	MOVQ	$10, R8
digit:
	XORL	DX, DX
	DIVQ	R8
	ADDL	$48, DX
	DECQ	SI
	MOVB	DX, (SI)
	TESTQ	AX, AX
	JNE	digit
copy:
	MOVB	(SI), AX
	MOVB	AX, (DI)
	INCQ	SI
	INCQ	DI
	CMPQ	SI, R9
	JNE	copy
	MOVB	$0, (DI)
	JMP	next
