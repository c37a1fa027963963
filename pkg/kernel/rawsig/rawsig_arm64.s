#include "textflag.h"

// func syscall6(nr, a, b, c, d, e, f uintptr) uintptr
TEXT ·syscall6(SB),NOSPLIT,$0-64
	MOVD	nr+0(FP), R8
	MOVD	a+8(FP), R0
	MOVD	b+16(FP), R1
	MOVD	c+24(FP), R2
	MOVD	d+32(FP), R3
	MOVD	e+40(FP), R4
	MOVD	f+48(FP), R5
	SVC
	MOVD	R0, ret+56(FP)
	RET

// func entry(which uintptr) uintptr
TEXT ·entry(SB),NOSPLIT,$0-16
	MOVD	which+0(FP), R1
	MOVD	$·writer(SB), R0
	MOVD	$·crash(SB), R2
	CMP	$1, R1
	CSEL	EQ, R2, R0, R0
	MOVD	$·heartbeat(SB), R2
	CMP	$2, R1
	CSEL	EQ, R2, R0, R0
	MOVD	$·sigreturn(SB), R2
	CMP	$3, R1
	CSEL	EQ, R2, R0, R0
	MOVD	R0, ret+8(FP)
	RET

// The handlers are entered by the kernel with the signal in R0, the siginfo in
// R1 and the address of sigreturn in R30; see rawsig_amd64.s.

TEXT ·sigreturn(SB),NOSPLIT|NOFRAME,$0
	MOVD	$139, R8
	SVC
	BRK

TEXT ·writer(SB),NOSPLIT|NOFRAME,$0
	MOVW	R0, R19
	MOVD	$64, R8               // write(SignalFD, siginfo, 128)
	MOVD	·SignalFD(SB), R0
	MOVD	$128, R2
	SVC
	CMP	$128, R0
	BEQ	done
	SUB	$1, R19
	MOVD	$1, R3
	LSL	R19, R3, R3
	MOVD	$·Lost(SB), R2
again:
	LDAXR	(R2), R4
	ORR	R3, R4, R4
	STLXR	R4, (R2), R5
	CBNZ	R5, again
done:
	RET

TEXT ·heartbeat(SB),NOSPLIT|NOFRAME,$0
	MOVW	8(R1), R2             // si_code SI_TIMER: nobody else may trigger it
	CMNW	$2, R2
	BNE	alive
	MOVD	·Beat(SB), R2
	MOVD	·beatSeen(SB), R3
	CMP	R2, R3
	BNE	moved
	MOVD	·Idle(SB), R3
	CBNZ	R3, alive
	B	·crash(SB)
moved:
	MOVD	R2, ·beatSeen(SB)
alive:
	RET

TEXT ·crash(SB),NOSPLIT|NOFRAME,$0
	MOVW	R0, R5
	MOVD	·CrashRecord(SB), R19
again:
	LDAXRW	(R19), R4
	ADD	$1, R4
	STLXRW	R4, (R19), R6
	CBNZ	R6, again
	MOVW	R5, 4(R19)
	MOVD	$135, R8              // rt_sigprocmask(SIG_SETMASK, none)
	MOVD	$2, R0
	MOVD	$·emptyMask(SB), R1
	MOVD	$0, R2
	MOVD	$8, R3
	SVC
	MOVD	$221, R8              // execve
	MOVD	·CrashPath(SB), R0
	MOVD	·CrashArgv(SB), R1
	MOVD	·CrashEnvp(SB), R2
	SVC
	MOVD	$281, R8              // execveat(CrashFD, "", …, AT_EMPTY_PATH)
	MOVD	·CrashFD(SB), R0
	MOVD	$·emptyPath(SB), R1
	MOVD	·CrashArgv(SB), R2
	MOVD	·CrashEnvp(SB), R3
	MOVD	$0x1000, R4
	SVC
freeze:
	MOVD	$73, R8               // ppoll(NULL, 0, NULL, NULL, 0)
	MOVD	$0, R0
	MOVD	$0, R1
	MOVD	$0, R2
	MOVD	$0, R3
	MOVD	$0, R4
	SVC
	B	freeze
