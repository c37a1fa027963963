//go:build linux && (amd64 || arm64)

package main

import (
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"
	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
)

// Constants of security/_pam_types.h.
const (
	pamSuccess       = 0
	pamTTY           = 3
	pamEstablishCred = 0x2
	pamDeleteCred    = 0x4
	pamSilent        = 0x8000
)

// libraries, by the names of their interfaces.
const (
	libPAM = "libpam.so.0"
	libC   = "libc.so.6"
)

// session is an open PAM session.
type session struct {
	pam, libc uintptr // libraries
	handle    uintptr // pam_handle_t
	conv      [2]uintptr
	keep      [][]byte // C strings that the library may hold on to

	// What the handler works on; like the rest it must not be on a stack, which can move.
	wait  unix.PollFd
	full  [16]uint64 // sigset_t, 128 bytes
	steps []step
}

// open starts PAM for the user of the plan and opens a session, in the order
// that pam(3) asks for. Nobody is authenticated: the unit file is the
// authority.
func open(p *plan.Plan) (*session, *plan.Failure) {
	s := &session{}
	var err error
	if s.pam, err = purego.Dlopen(libPAM, purego.RTLD_NOW|purego.RTLD_GLOBAL); err == nil {
		s.libc, err = purego.Dlopen(libC, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	}
	if err != nil {
		return nil, failed(libPAM, err.Error())
	}
	s.conv[0] = converseAddr
	service, user := s.cstring(p.PAM.Service), s.cstring(p.Identity.Name)
	if r := s.call("pam_start", service, user, uintptr(unsafe.Pointer(&s.conv)), uintptr(unsafe.Pointer(&s.handle))); r != pamSuccess {
		return nil, failed(p.PAM.Service, "pam_start: status "+itoa(r))
	}
	if tty := p.PAM.TTY; tty != "" {
		s.call("pam_set_item", s.handle, pamTTY, s.cstring(tty))
	}
	for _, assignment := range p.Env {
		if r := s.call("pam_putenv", s.handle, s.cstring(assignment)); r != pamSuccess {
			return nil, s.failure(p, "pam_putenv", r)
		}
	}
	if r := s.call("pam_acct_mgmt", s.handle, pamSilent); r != pamSuccess {
		return nil, s.failure(p, "pam_acct_mgmt", r)
	}
	// Not every stack can set credentials, and a session may do without.
	s.call("pam_setcred", s.handle, pamEstablishCred|pamSilent)
	if r := s.call("pam_open_session", s.handle, pamSilent); r != pamSuccess {
		s.call("pam_setcred", s.handle, pamDeleteCred|pamSilent)
		return nil, s.failure(p, "pam_open_session", r)
	}
	return s, nil
}

// failure ends PAM after a step that failed.
func (s *session) failure(p *plan.Plan, step string, status int32) *plan.Failure {
	text := gostring(s.callRaw("pam_strerror", s.handle, uintptr(status)))
	s.call("pam_end", s.handle, uintptr(status))
	return failed(p.PAM.Service, step+": "+text)
}

// environment is what modules want the program to have.
func (s *session) environment() []string {
	list := s.callRaw("pam_getenvlist", s.handle)
	if list == 0 {
		return nil
	}
	var env []string
	for _, p := range unsafe.Slice((*uintptr)(pointer(list)), maxEnvironment) {
		if p == 0 {
			break
		}
		env = append(env, gostring(p))
	}
	return env
}

// Bounds on what is read from the C library's memory.
const (
	maxEnvironment = 1 << 16
	maxString      = 1 << 20
)

// step is one C function that the handler calls.
type step struct {
	function uintptr
	args     [4]uintptr
}

// watch forks the process that waits for the end of this one and closes the
// session then. It does so as the unit's user, as far as that goes, and keeps
// only what modules have opened.
func (s *session) watch(p *plan.Plan) *plan.Failure {
	self, err := unix.PidfdOpen(unix.Getpid(), 0)
	if err != nil {
		return failed("pidfd", err.Error())
	}
	s.wait = unix.PollFd{Fd: int32(self), Events: unix.POLLIN}
	for i := range s.full {
		s.full[i] = ^uint64(0)
	}
	title, room := commandLine()
	name := s.cstring(handlerName)
	add := func(function string, args ...uintptr) { s.steps = append(s.steps, s.step(function, args...)) }
	add("fork")
	add("sigprocmask", 2 /* SIG_SETMASK */, uintptr(unsafe.Pointer(&s.full)), 0)
	add("prctl", unix.PR_SET_NAME, name)
	add("strncpy", title, name, room)
	for _, fd := range passed(p) {
		if fd >= 0 {
			add("close", uintptr(fd))
		}
	}
	if p.ChangeUser && p.Identity.HasUID {
		id := p.Identity
		add("setgroups", 0, 0)
		add("setresgid", uintptr(id.GID), uintptr(id.GID), uintptr(id.GID))
		add("setresuid", uintptr(id.UID), uintptr(id.UID), uintptr(id.UID))
	}
	add("poll", uintptr(unsafe.Pointer(&s.wait)), 1, ^uintptr(0))
	add("pam_setcred", s.handle, pamDeleteCred|pamSilent)
	add("pam_close_session", s.handle, pamSilent)
	add("pam_end", s.handle, pamSuccess)
	add("_exit", 0)
	s.steps = append(s.steps, step{})
	for _, st := range s.steps[:len(s.steps)-1] {
		if st.function == 0 {
			return failed(libPAM, "a function is missing")
		}
	}
	r, _, _ := purego.SyscallN(handlerAddr, uintptr(unsafe.Pointer(&s.steps[0])))
	runtime.KeepAlive(s)
	unix.Close(self)
	if int32(r) <= 0 {
		s.call("pam_close_session", s.handle, pamSilent)
		s.call("pam_end", s.handle, pamSuccess)
		return failed("fork", "no process could be made that closes the session")
	}
	return nil
}

// handlerName is what ps shows for the process that holds the session.
const handlerName = "(sd-pam)"

func (s *session) step(function string, args ...uintptr) step {
	st := step{function: s.symbol(function)}
	copy(st.args[:], args)
	return st
}

// symbol finds a function in either library, 0 if there is none.
func (s *session) symbol(name string) uintptr {
	for _, lib := range []uintptr{s.pam, s.libc} {
		if a, err := purego.Dlsym(lib, name); err == nil && a != 0 {
			return a
		}
	}
	return 0
}

// call calls a C function that returns an int.
func (s *session) call(name string, args ...uintptr) int32 { return int32(s.callRaw(name, args...)) }

// notFound is PAM_SYMBOL_ERR.
const notFound = 2

func (s *session) callRaw(name string, args ...uintptr) uintptr {
	fn := s.symbol(name)
	if fn == 0 {
		return notFound
	}
	r, _, _ := purego.SyscallN(fn, args...)
	return r
}

// cstring makes a string for C. It lives as long as the session.
func (s *session) cstring(text string) uintptr {
	b := append([]byte(text), 0)
	s.keep = append(s.keep, b)
	return uintptr(unsafe.Pointer(&b[0]))
}
