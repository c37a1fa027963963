package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// The payloads are single-page static images of a few system calls, so that
// the figures are about the manager and not about what it starts.
const (
	tinyExit   = "exit"   // exit(0)
	tinyFail   = "fail"   // exit(1)
	tinyPause  = "pause"  // pause() for ever
	tinyNotify = "notify" // READY=1 to /run/systemd/notify, then pause
	tinyBeat   = "beat"   // one byte into beatPath, then pause
	tinyServe  = "serve"  // one byte to each connection of the first socket
)

// Paths inside the container.
const (
	tinyDir    = "/usr/lib/bench"
	beatPath   = "/run/bench-beat"
	notifyPath = "/run/systemd/notify"
)

const (
	elfBase = 0x400000
	elfHead = 64 + 56 // ELF header and one program header
)

// assembler collects amd64 code with absolute addresses of data behind it.
type assembler struct {
	code  []byte
	data  []byte
	fixes []fix
}

type fix struct{ at, offset int }

func (a *assembler) bytes(code ...byte) { a.code = append(a.code, code...) }

// call loads the system call number and executes it.
func (a *assembler) call(number uint32) {
	a.bytes(0xb8) // mov eax, imm32
	a.code = binary.LittleEndian.AppendUint32(a.code, number)
	a.bytes(0x0f, 0x05) // syscall
}

// value loads a register: 0xbf rdi, 0xbe rsi, 0xba rdx.
func (a *assembler) value(register byte, value uint32) {
	a.bytes(register)
	a.code = binary.LittleEndian.AppendUint32(a.code, value)
}

// address loads the address of data into a register.
func (a *assembler) address(register byte, data []byte) {
	a.bytes(register)
	a.fixes = append(a.fixes, fix{at: len(a.code), offset: len(a.data)})
	a.code = binary.LittleEndian.AppendUint32(a.code, 0)
	a.data = append(a.data, data...)
}

const (
	rdi, rsi, rdx = 0xbf, 0xbe, 0xba

	sysWrite, sysOpen, sysClose, sysPause, sysSocket, sysAccept, sysSendto, sysExit = 1, 2, 3, 34, 41, 43, 44, 60
)

func (a *assembler) pauseForEver() {
	begin := len(a.code)
	a.call(sysPause)
	a.bytes(0xeb, byte(begin-len(a.code)-2)) // jmp begin
}

// image is the finished ELF file.
func (a *assembler) image() []byte {
	for _, f := range a.fixes {
		binary.LittleEndian.PutUint32(a.code[f.at:], uint32(elfBase+elfHead+len(a.code)+f.offset))
	}
	body := append(append([]byte{}, a.code...), a.data...)
	size := uint64(elfHead + len(body))
	le := binary.LittleEndian
	elf := []byte{0x7f, 'E', 'L', 'F', 2, 1, 1, 15: 0}
	elf = le.AppendUint16(elf, 2)  // ET_EXEC
	elf = le.AppendUint16(elf, 62) // EM_X86_64
	elf = le.AppendUint32(elf, 1)
	elf = le.AppendUint64(elf, elfBase+elfHead) // entry
	elf = le.AppendUint64(elf, 64)              // program headers
	elf = le.AppendUint64(elf, 0)
	elf = le.AppendUint32(elf, 0)
	for _, v := range []uint16{64, 56, 1, 0, 0, 0} {
		elf = le.AppendUint16(elf, v)
	}
	elf = le.AppendUint32(elf, 1) // PT_LOAD
	elf = le.AppendUint32(elf, 5) // readable, executable
	for _, v := range []uint64{0, elfBase, elfBase, size, size, 0x1000} {
		elf = le.AppendUint64(elf, v)
	}
	return append(elf, body...)
}

// tinyImages are the payloads by name.
func tinyImages() map[string][]byte {
	images := map[string][]byte{}
	for name, code := range map[string]uint32{tinyExit: 0, tinyFail: 1} {
		var a assembler
		a.value(rdi, code)
		a.call(sysExit)
		images[name] = a.image()
	}
	var pause assembler
	pause.pauseForEver()
	images[tinyPause] = pause.image()

	var notify assembler
	notify.value(rdi, 1) // AF_UNIX
	notify.value(rsi, 2) // SOCK_DGRAM
	notify.value(rdx, 0)
	notify.call(sysSocket)
	notify.bytes(0x89, 0xc7) // mov edi, eax
	notify.address(rsi, []byte("READY=1"))
	notify.value(rdx, 7)
	notify.bytes(0x45, 0x31, 0xd2) // xor r10d, r10d
	notify.bytes(0x41)             // the next one is r8: mov r8d, address
	address := append([]byte{1, 0}, notifyPath...)
	notify.address(0xb8, append(address, 0))
	notify.bytes(0x41, 0xb9) // mov r9d, length
	notify.code = binary.LittleEndian.AppendUint32(notify.code, uint32(len(address)+1))
	notify.call(sysSendto)
	notify.pauseForEver()
	images[tinyNotify] = notify.image()

	var beat assembler
	beat.address(rdi, append([]byte(beatPath), 0))
	beat.value(rsi, 1) // O_WRONLY
	beat.value(rdx, 0)
	beat.call(sysOpen)
	beat.bytes(0x89, 0xc7) // mov edi, eax
	beat.address(rsi, []byte("x"))
	beat.value(rdx, 1)
	beat.call(sysWrite)
	beat.pauseForEver()
	images[tinyBeat] = beat.image()

	var serve assembler
	serve.value(rdi, 3) // the first socket
	serve.value(rsi, 0)
	serve.value(rdx, 0)
	serve.call(sysAccept)
	serve.bytes(0x89, 0xc7) // mov edi, eax
	serve.address(rsi, []byte("x"))
	serve.value(rdx, 1)
	serve.call(sysWrite)
	serve.call(sysClose)
	serve.bytes(0xeb, byte(-len(serve.code)-2)) // jmp to the beginning
	images[tinyServe] = serve.image()
	return images
}

// writeTiny puts the payloads into a directory of the host.
func writeTiny(dir string) error {
	if runtime.GOARCH != "amd64" {
		return fmt.Errorf("bench: the payloads are amd64 code, this is %s", runtime.GOARCH)
	}
	for name, image := range tinyImages() {
		if err := os.WriteFile(filepath.Join(dir, name), image, 0o755); err != nil {
			return err
		}
	}
	return nil
}
