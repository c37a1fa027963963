#include "textflag.h"

// Header and record offsets are those of arena.go.

// func rawSpawn(hdr, ops unsafe.Pointer) (ret int)
//
// See raw_amd64.s; the same steps in the same order.
TEXT ·rawSpawn(SB),NOSPLIT|NOFRAME,$0-24
	MOVD	hdr+0(FP), R19
	MOVD	ops+8(FP), R20
	MOVD	$135, R8              // rt_sigprocmask(SIG_SETMASK, all, old)
	MOVD	$2, R0
	ADD	$40, R19, R1
	ADD	$48, R19, R2
	MOVD	$8, R3
	SVC
	MOVD	$435, R8              // clone3
	ADD	$128, R19, R0
	MOVD	$88, R1
	SVC
	CBZ	R0, child
	MOVD	R0, R21
	MOVD	$135, R8              // rt_sigprocmask(SIG_SETMASK, old)
	MOVD	$2, R0
	ADD	$48, R19, R1
	MOVD	$0, R2
	MOVD	$8, R3
	SVC
	MOVD	R21, ret+16(FP)
	RET

child:
	MOVD	$0, R21               // op index
loop:
	MOVD	R21, 24(R19)
	MOVD	0(R20), R8
	CMP	$0, R8
	BLT	pseudo
	MOVD	8(R20), R0
	MOVD	16(R20), R1
	MOVD	24(R20), R2
	MOVD	32(R20), R3
	MOVD	40(R20), R4
	MOVD	48(R20), R5
	SVC
	MOVD	R0, 64(R20)
	CMN	$4096, R0
	BLS	next                  // unsigned: only -4095..-1 are errors
	MOVD	56(R20), R9
	CBZ	R9, next
	NEG	R0, R0
	MOVWU	72(R20), R10          // up to four tolerated errnos, a byte each
tolerated:
	AND	$255, R10, R11
	CMP	R11, R0
	BEQ	next
	LSR	$8, R10
	CBNZ	R10, tolerated
	MOVD	R21, 16(R19)
	MOVD	R0, 8(R19)
die:
	MOVD	R9, R0
	MOVD	$94, R8               // exit_group(status)
	SVC
	B	die
next:
	ADD	$80, R20
	ADD	$1, R21
	B	loop

pseudo:
	MOVD	8(R20), R1
	CMN	$1, R8
	BNE	pidstr
	MOVD	(R1), R0              // -1: *arg1 = *arg0
	MOVD	16(R20), R2
	MOVD	R0, (R2)
	B	next

pidstr:
	CMN	$2, R8
	BNE	number
	MOVD	$172, R8              // -2: getpid as decimal text at arg0
	SVC
	MOVD	R0, 64(R20)
	B	text
number:
	MOVD	16(R20), R2           // -3: *arg1 as decimal text at arg0
	MOVD	(R2), R0
text:
	MOVD	8(R20), R2
	ADD	$80, R19, R1          // digits are made backwards from the end of the scratch
	MOVD	R1, R3
	MOVD	$10, R4
digit:
	UDIV	R4, R0, R5
	MSUB	R4, R0, R5, R6        // R6 = R0 - R4*R5
	ADD	$48, R6
	SUB	$1, R1
	MOVB	R6, (R1)
	MOVD	R5, R0
	CBNZ	R0, digit
copy:
	MOVBU	(R1), R0
	MOVB	R0, (R2)
	ADD	$1, R1
	ADD	$1, R2
	CMP	R3, R1
	BNE	copy
	MOVB	ZR, (R2)
	B	next
