package execplan

import (
	"github.com/muster-init/muster/pkg/unit"
)

// sandbox fills in what needs namespaces or filters.
func (b *builder) sandbox() error {
	if b.privileged || b.e.Sandbox == nil && !b.e.DynamicUser {
		return nil
	}
	s := b.s
	// Not yet here: anything that asks for a namespace or a filter.
	for _, c := range []struct {
		name string
		set  bool
	}{
		{"PrivateTmp", isOn(s.PrivateTmp)}, {"PrivateDevices", s.PrivateDevices}, {"PrivateNetwork", s.PrivateNetwork},
		{"PrivateIPC", s.PrivateIPC}, {"PrivateUsers", isOn(s.PrivateUsers)}, {"PrivateMounts", s.PrivateMounts.Or(false)},
		{"ProtectSystem", isOn(s.ProtectSystem)}, {"ProtectHome", isOn(s.ProtectHome)},
		{"ProtectKernelTunables", s.ProtectKernelTunables}, {"ProtectKernelModules", s.ProtectKernelModules},
		{"ProtectKernelLogs", s.ProtectKernelLogs}, {"ProtectClock", s.ProtectClock},
		{"ProtectControlGroups", isOn(s.ProtectControlGroups)}, {"ProtectHostname", isOn(s.ProtectHostname)},
		{"ReadWritePaths", len(s.ReadWritePaths) > 0}, {"ReadOnlyPaths", len(s.ReadOnlyPaths) > 0},
		{"InaccessiblePaths", len(s.InaccessiblePaths) > 0}, {"BindPaths", len(s.BindPaths) > 0},
		{"TemporaryFileSystem", len(s.TemporaryFileSystem) > 0}, {"SystemCallFilter", s.SystemCallFilter.Set},
		{"RestrictAddressFamilies", s.RestrictAddressFamilies.Set}, {"RestrictNamespaces", s.RestrictNamespaces != ^uint64(0)},
		{"MemoryDenyWriteExecute", s.MemoryDenyWriteExecute}, {"LockPersonality", s.LockPersonality},
		{"RestrictRealtime", s.RestrictRealtime}, {"RestrictSUIDSGID", s.RestrictSUIDSGID},
		{"SystemCallArchitectures", len(s.SystemCallArchitectures) > 0},
	} {
		if c.set {
			return unsupported(c.name)
		}
	}
	_ = unit.Unset
	return nil
}
