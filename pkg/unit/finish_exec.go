package unit

import (
	"slices"
	"strings"
)

// Capabilities that settings take away (capabilities(7)).
const (
	capSysModule = 16
	capSysRawIO  = 17
	capSysTime   = 25
	capMknod     = 27
	capSyslog    = 34
	capWakeAlarm = 35
)

// finishExec settles what execution settings imply (systemd.exec(5)), so that it is enforced and shown alike. It only writes what isn't so already:
// after the first time blocks may be shared between units.
func (u *Unit) finishExec() {
	if u.Exec == nil {
		return
	}
	if u.Exec.DynamicUser {
		u.finishDynamicUser()
	}
	e, s := u.Exec, u.GetSandbox()
	if e.SetLoginEnvironment == Unset && (e.User != "" || e.PAMName != "") {
		e.SetLoginEnvironment = Yes
	}
	if e.RootDirectory != "" || s.RootImage != "" || s.RootMStack != "" {
		if s.MountAPIVFS == Unset {
			u.ownSandbox().MountAPIVFS = Yes
		}
		if s := u.GetSandbox(); s.BindLogSockets == Unset {
			u.ownSandbox().BindLogSockets = Yes
		}
	}
	u.dropCapabilities()
	u.finishDevices()
}

func (u *Unit) ownSandbox() *Sandbox { return own(&u.ownExec().Sandbox, &u.Defaults().Sandbox) }

// finishDynamicUser: a user that may be anybody's next time must leave nothing behind and gain nothing.
func (u *Unit) finishDynamicUser() {
	e := u.Exec
	if e.User == "" {
		e.User = DynamicUserName(u.Name)
	}
	if e.Group == "" {
		e.Group = e.User
	}
	e.NoNewPrivileges = true
	s := u.ownSandbox()
	s.RemoveIPC, s.RestrictSUIDSGID, s.ProtectSystem = true, true, "strict"
	if s.ProtectHome == "" || s.ProtectHome == "no" {
		s.ProtectHome = "read-only"
	}
	if s.PrivateTmp == "" || s.PrivateTmp == "no" {
		s.PrivateTmp = "disconnected"
	}
}

func (u *Unit) dropCapabilities() {
	s := u.GetSandbox()
	var drop uint64
	if s.ProtectKernelModules {
		drop |= 1 << capSysModule
	}
	if s.ProtectKernelLogs {
		drop |= 1 << capSyslog
	}
	if s.ProtectClock {
		drop |= 1<<capSysTime | 1<<capWakeAlarm
	}
	if s.PrivateDevices {
		drop |= 1<<capMknod | 1<<capSysRawIO
	}
	if u.Exec.CapabilityBoundingSet&drop != 0 {
		u.Exec.CapabilityBoundingSet &^= drop
	}
}

// finishDevices: PrivateDevices= closes the device policy, and what is allowed then is what other settings need: the clock, and what images are mounted
// from.
func (u *Unit) finishDevices() {
	s := u.GetSandbox()
	if s.PrivateDevices && u.GetCgroup().DevicePolicy == "auto" {
		own(&u.Cgroup, u.Defaults().cgroupOf(u.Type)).DevicePolicy = "closed"
	}
	if c := u.GetCgroup(); c.DevicePolicy == "auto" && len(c.DeviceAllow) == 0 {
		return // more would be all that is allowed
	}
	if s.RootImage != "" || s.RootMStack != "" || len(s.MountImages) > 0 {
		for _, r := range []DeviceRule{{"/dev/loop-control", "rw"}, {"/dev/mapper/control", "rw"}, {"block-loop", "rwm"}, {"block-blkext", "rwm"}, {"block-device-mapper", "rwm"}} {
			u.allowDevice(r)
		}
	}
	if s.ProtectClock {
		u.allowDevice(DeviceRule{"char-rtc", "r"})
	}
}

// allowDevice puts a rule in front, as clients see them listed.
func (u *Unit) allowDevice(rule DeviceRule) {
	for _, r := range u.GetCgroup().DeviceAllow {
		if r == rule {
			return
		}
	}
	c := own(&u.Cgroup, u.Defaults().cgroupOf(u.Type))
	c.DeviceAllow = slices.Insert(slices.Clone(c.DeviceAllow), 0, rule)
}

// DynamicUserName is the user name of a DynamicUser= service without User=: its prefix if that is a user name, else a hash of it.
func DynamicUserName(unitName string) string {
	name, _, _ := strings.Cut(strings.TrimSuffix(unitName, ".service"), "@")
	if userNameIsValid(name) {
		return name
	}
	const digits = "0123456789abcdef"
	hash := []byte("_du0000000000000000")
	for i, h := len(hash)-1, hash64(name); h > 0; i, h = i-1, h>>4 {
		hash[i] = digits[h&15]
	}
	return string(hash)
}

const userNameMax = 31

func userNameIsValid(s string) bool {
	if s == "" || len(s) > userNameMax || strings.IndexByte("0123456789-", s[0]) >= 0 {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// hash64 is FNV-1a.
func hash64(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := 0; i < len(s); i++ {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}
