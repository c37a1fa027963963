package unit

import "strings"

// Verify checks what only shows once all files are read. Messages with
// LevelError make the unit bad-setting.
func Verify(u *Unit) []Message {
	v := verifier{u: u}
	switch u.Type {
	case TypeService:
		v.service()
	case TypeSocket:
		v.socket()
	case TypeMount:
		v.mount()
	case TypeAutomount:
		v.automount()
	case TypeSwap:
		v.swap()
	case TypeTimer:
		if t := u.GetTimer(); len(t.Timers) == 0 && !t.OnClockChange && !t.OnTimezoneChange {
			v.refuse("timer has none of OnActiveSec=, OnBootSec=, OnStartupSec=, OnUnitActiveSec=, OnUnitInactiveSec=, " +
				"OnCalendar=, OnClockChange=, OnTimezoneChange=")
		}
	case TypePath:
		if len(u.GetPath().Paths) == 0 {
			v.refuse("path unit has none of PathExists=, PathExistsGlob=, PathChanged=, PathModified=, DirectoryNotEmpty=")
		}
	case TypeSlice:
		v.slice()
	}
	return v.messages
}

type verifier struct {
	u        *Unit
	messages []Message
}

func (v *verifier) refuse(parts ...string) { v.say(LevelError, parts...) }

func (v *verifier) say(level Level, parts ...string) {
	file := v.u.FragmentPath
	if file == "" {
		file = v.u.Name
	}
	v.messages = append(v.messages, Message{Level: level, File: file, Text: strings.Join(parts, "")})
}

func (v *verifier) service() {
	u := v.u
	s := u.GetService()
	success := u.Unit.SuccessAction != "none"
	oneshot := s.Type == "oneshot" || s.Type == "" && len(s.ExecStart) == 0
	switch {
	case len(s.ExecStart) == 0 && len(s.ExecStop) == 0 && !success:
		v.refuse("service has neither ExecStart=, ExecStop= nor SuccessAction=")
	case !oneshot && len(s.ExecStart) == 0 && !success:
		v.refuse("service has no ExecStart=, which only Type=oneshot allows")
	case len(s.ExecStart) == 0 && !s.RemainAfterExit && !success:
		v.refuse("service has neither ExecStart= nor SuccessAction=, and RemainAfterExit= is off")
	case !oneshot && len(s.ExecStart) > 1:
		v.refuse("service has more than one ExecStart=, which only Type=oneshot allows")
	case oneshot && (s.Restart == "always" || s.Restart == "on-success"):
		v.refuse("service of Type=oneshot has Restart=", s.Restart)
	case oneshot && s.ExitType == "cgroup":
		v.refuse("service of Type=oneshot has ExitType=cgroup")
	case s.Type == "forking" && u.GetSandbox().PrivatePIDs == "yes":
		v.refuse("service of Type=forking has PrivatePIDs=yes")
	case s.Type == "dbus" && s.BusName == "":
		v.refuse("service of Type=dbus has no BusName=")
	}
	v.pam("control-group", "mixed")
	if oneshot && s.RuntimeMaxUSec != Infinity {
		v.say(LevelWarning, "RuntimeMaxSec= has no effect with Type=oneshot")
	}
	if (s.USBFunctionDescriptors == "") != (s.USBFunctionStrings == "") {
		v.say(LevelWarning, "USBFunctionDescriptors= and USBFunctionStrings= need each other")
	}
	if u.GetKill().KillMode == "none" {
		v.say(LevelWarning, "KillMode=none leaves processes running after stop, better don't use it")
	}
	if s.RestartSteps > 0 && s.RestartMaxDelayUSec == Infinity {
		v.say(LevelWarning, "RestartSteps= has no effect without RestartMaxDelaySec=")
	}
	if s.RestartSteps == 0 && s.RestartMaxDelayUSec != Infinity {
		v.say(LevelWarning, "RestartMaxDelaySec= has no effect without RestartSteps=")
	}
}

// pam: a session's processes have to be killed with the unit.
func (v *verifier) pam(modes ...string) {
	if v.u.GetExec().PAMName == "" {
		return
	}
	for _, m := range modes {
		if v.u.GetKill().KillMode == m {
			return
		}
	}
	v.refuse("PAMName= needs KillMode=", strings.Join(modes, " or "))
}

func (v *verifier) socket() {
	s := v.u.GetSocket()
	nodes := 0
	for _, l := range s.Listen {
		onDisk := strings.HasPrefix(l.Address, "/") && (l.Kind == "Stream" || l.Kind == "Datagram" || l.Kind == "SequentialPacket")
		if onDisk || l.Kind == "FIFO" {
			nodes++
		}
		if s.Accept && l.Kind != "Stream" && l.Kind != "SequentialPacket" {
			v.refuse("Accept= is set, but Listen", l.Kind, "= doesn't accept connections")
		}
	}
	switch {
	case len(s.Listen) == 0:
		v.refuse("socket has none of ListenStream=, ListenDatagram=, ListenSequentialPacket=, ListenFIFO=, ListenSpecial=, ",
			"ListenNetlink=, ListenMessageQueue=, ListenUSBFunction=")
	case s.Accept && s.MaxConnections == 0:
		v.refuse("MaxConnections= is zero")
	case s.Accept && s.Service != "":
		v.refuse("Service= can't be used with Accept=")
	case len(s.Symlinks) > 0 && nodes != 1:
		v.refuse("Symlinks= needs exactly one listener in the file system")
	}
	v.pam("control-group")
}

// apiMounts are mount points the manager mounts itself.
var apiMounts = []string{"/proc", "/sys", "/dev", "/run", "/sys/fs/cgroup", "/dev/pts", "/dev/shm", "/sys/kernel/security",
	"/sys/fs/selinux", "/sys/fs/bpf", "/sys/fs/pstore"}

// underMount are those of them that are mounted before the first unit.
func earlyMount(path string) bool {
	switch path {
	case "/proc", "/sys", "/dev", "/run", "/dev/pts", "/dev/shm", "/sys/fs/cgroup", "/sys/fs/selinux":
		return true
	}
	return strings.HasPrefix(path, "/sys/fs/cgroup/")
}

// ApiMounts lists the mount points the manager mounts itself.
func ApiMounts() []string { return append([]string(nil), apiMounts...) }

func (v *verifier) mount() {
	m := v.u.Mount
	if m == nil {
		if v.u.FragmentPath != "" {
			v.refuse("mount has no What=")
		}
		return
	}
	if v.u.FragmentPath == "" && !v.u.Transient {
		return // from the kernel: there is nothing to check
	}
	name, err := NameFromPath(m.Where, ".mount")
	switch {
	case err != nil:
		v.refuse("Where= ", err.Error())
	case name != v.u.Name && !contains(v.u.Names, name):
		v.refuse("Where=", m.Where, " asks for the unit name ", name)
	case earlyMount(m.Where):
		v.refuse("Where=", m.Where, " is mounted by the manager itself")
	case m.What == "":
		v.refuse("mount has no What=")
	}
	v.pam("control-group")
}

func (v *verifier) automount() {
	a := v.u.GetAutomount()
	name, err := NameFromPath(a.Where, ".automount")
	switch {
	case a.Where == "/":
		v.refuse("the root directory can't be an automount point")
	case err != nil:
		v.refuse("Where= ", err.Error())
	case name != v.u.Name && !contains(v.u.Names, name):
		v.refuse("Where=", a.Where, " asks for the unit name ", name)
	}
}

func (v *verifier) swap() {
	if v.u.FragmentPath == "" && !v.u.Transient {
		return
	}
	s := v.u.GetSwap()
	if s.What == "" {
		v.refuse("swap has no What=")
		return
	}
	// UUID= and the like become paths only once udev has seen them.
	if !strings.HasPrefix(s.What, "/") {
		return
	}
	name, err := NameFromPath(s.What, ".swap")
	switch {
	case err != nil:
		v.refuse("What= ", err.Error())
	case name != v.u.Name && !contains(v.u.Names, name):
		v.refuse("What=", s.What, " asks for the unit name ", name)
	}
	v.pam("control-group")
}

func (v *verifier) slice() {
	if !ValidSlice(v.u.Name) {
		v.refuse("slice name ", quoted(v.u.Name), " is not valid: dashes build a path")
	}
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}
