#include "textflag.h"

// int handler(struct step *list): System V calling convention.
TEXT ·handler(SB), NOSPLIT|NOFRAME, $0-0
	PUSHQ	BX
	PUSHQ	BP
	SUBQ	$8, SP
	MOVQ	DI, BX
	XORL	AX, AX
	MOVQ	0(BX), R11
	CALL	R11
	TESTL	AX, AX
	JNE	parent

next:
	ADDQ	$40, BX
	MOVQ	0(BX), R11
	TESTQ	R11, R11
	JEQ	end
	MOVQ	8(BX), DI
	MOVQ	16(BX), SI
	MOVQ	24(BX), DX
	MOVQ	32(BX), CX
	XORL	AX, AX
	CALL	R11
	JMP	next

end:
	INT	$3

parent:
	ADDQ	$8, SP
	POPQ	BP
	POPQ	BX
	RET

// int converse(...)
TEXT ·converse(SB), NOSPLIT|NOFRAME, $0-0
	MOVL	$19, AX
	RET

DATA ·handlerAddr+0(SB)/8, $·handler(SB)
GLOBL ·handlerAddr(SB), NOPTR, $8
DATA ·converseAddr+0(SB)/8, $·converse(SB)
GLOBL ·converseAddr(SB), NOPTR, $8
