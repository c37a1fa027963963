#include "textflag.h"

// threadExit is a signal handler: it ends the thread it runs on.
TEXT ·threadExit(SB),NOSPLIT|NOFRAME,$0-0
	MOVQ	$60, AX	// exit
	XORL	DI, DI
	SYSCALL
	INT	$3

// func threadExitAddr() uintptr
TEXT ·threadExitAddr(SB),NOSPLIT,$0-8
	LEAQ	·threadExit(SB), AX
	MOVQ	AX, ret+0(FP)
	RET
