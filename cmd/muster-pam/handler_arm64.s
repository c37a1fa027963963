#include "textflag.h"

// int handler(struct step *list): AAPCS64.
TEXT ·handler(SB), NOSPLIT|NOFRAME, $0-0
	STP.W	(R29, R30), -32(RSP)
	STP	(R19, R20), 16(RSP)
	MOVD	R0, R19
	MOVD	0(R19), R9
	BL	(R9)
	CBNZW	R0, parent

next:
	ADD	$40, R19
	MOVD	0(R19), R9
	CBZ	R9, end
	MOVD	8(R19), R0
	MOVD	16(R19), R1
	MOVD	24(R19), R2
	MOVD	32(R19), R3
	BL	(R9)
	B	next

end:
	BRK

parent:
	LDP	16(RSP), (R19, R20)
	LDP.P	32(RSP), (R29, R30)
	RET

// int converse(...)
TEXT ·converse(SB), NOSPLIT|NOFRAME, $0-0
	MOVD	$19, R0
	RET

DATA ·handlerAddr+0(SB)/8, $·handler(SB)
GLOBL ·handlerAddr(SB), NOPTR, $8
DATA ·converseAddr+0(SB)/8, $·converse(SB)
GLOBL ·converseAddr(SB), NOPTR, $8
