#include "textflag.h"

// func syscall6(nr, a, b, c, d, e, f uintptr) uintptr
TEXT ·syscall6(SB),NOSPLIT,$0-64
	MOVQ	nr+0(FP), AX
	MOVQ	a+8(FP), DI
	MOVQ	b+16(FP), SI
	MOVQ	c+24(FP), DX
	MOVQ	d+32(FP), R10
	MOVQ	e+40(FP), R8
	MOVQ	f+48(FP), R9
	SYSCALL
	MOVQ	AX, ret+56(FP)
	RET

// func entry(which uintptr) uintptr
TEXT ·entry(SB),NOSPLIT,$0-16
	MOVQ	which+0(FP), CX
	LEAQ	·writer(SB), AX
	LEAQ	·crash(SB), DX
	CMPQ	CX, $1
	CMOVQEQ	DX, AX
	LEAQ	·heartbeat(SB), DX
	CMPQ	CX, $2
	CMOVQEQ	DX, AX
	LEAQ	·sigreturn(SB), DX
	CMPQ	CX, $3
	CMOVQEQ	DX, AX
	MOVQ	AX, ret+8(FP)
	RET

// The handlers are entered by the kernel with the signal in DI and the
// siginfo in SI, on the thread's signal stack; rt_sigreturn restores every
// register, so all of them are free.

TEXT ·sigreturn(SB),NOSPLIT|NOFRAME,$0
	MOVQ	$15, AX
	SYSCALL
	INT	$3

TEXT ·writer(SB),NOSPLIT|NOFRAME,$0
	MOVL	DI, R12
	MOVQ	$1, AX                // write(SignalFD, siginfo, 128)
	MOVQ	·SignalFD(SB), DI
	MOVQ	$128, DX
	SYSCALL
	CMPQ	AX, $128
	JEQ	done
	LEAQ	-1(R12), CX
	MOVQ	$1, DX
	SHLQ	CX, DX
	LOCK
	ORQ	DX, ·Lost(SB)
done:
	RET

TEXT ·heartbeat(SB),NOSPLIT|NOFRAME,$0
	CMPL	8(SI), $-2            // si_code SI_TIMER: nobody else may trigger it
	JNE	alive
	MOVQ	·Beat(SB), AX
	CMPQ	AX, ·beatSeen(SB)
	JNE	moved
	CMPQ	·Idle(SB), $0
	JNE	alive
	JMP	·crash(SB)
moved:
	MOVQ	AX, ·beatSeen(SB)
alive:
	RET

TEXT ·crash(SB),NOSPLIT|NOFRAME,$0
	MOVQ	·CrashRecord(SB), BX
	LOCK
	INCL	0(BX)
	MOVL	DI, 4(BX)
	MOVQ	$14, AX               // rt_sigprocmask(SIG_SETMASK, none)
	MOVQ	$2, DI
	LEAQ	·emptyMask(SB), SI
	XORL	DX, DX
	MOVQ	$8, R10
	SYSCALL
	MOVQ	$59, AX               // execve
	MOVQ	·CrashPath(SB), DI
	MOVQ	·CrashArgv(SB), SI
	MOVQ	·CrashEnvp(SB), DX
	SYSCALL
	MOVQ	$322, AX              // execveat(CrashFD, "", …, AT_EMPTY_PATH)
	MOVQ	·CrashFD(SB), DI
	LEAQ	·emptyPath(SB), SI
	MOVQ	·CrashArgv(SB), DX
	MOVQ	·CrashEnvp(SB), R10
	MOVQ	$0x1000, R8
	SYSCALL
freeze:
	MOVQ	$34, AX               // pause
	SYSCALL
	JMP	freeze
