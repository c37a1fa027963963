#include "textflag.h"

// threadExit is a signal handler: it ends the thread it runs on.
TEXT ·threadExit(SB),NOSPLIT|NOFRAME,$0-0
	MOVD	$93, R8	// exit
	MOVD	$0, R0
	SVC
	BRK

// func threadExitAddr() uintptr
TEXT ·threadExitAddr(SB),NOSPLIT,$0-8
	MOVD	$·threadExit(SB), R0
	MOVD	R0, ret+0(FP)
	RET
