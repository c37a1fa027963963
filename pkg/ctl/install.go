package ctl

import (
	"github.com/muster-init/muster/pkg/install"
	"github.com/muster-init/muster/pkg/loader"
)

// installClientSide says that links are made by this program, because no manager looks after these unit files.
func (s *systemctl) installClientSide() bool {
	return s.Chroot || s.o.root != "" || s.o.scope == scopeGlobal || s.o.scope == scopeSystem && !s.booted()
}

// booted says whether a manager runs here; a Dial of a test stands for one.
func (s *systemctl) booted() bool {
	if s.bus != nil || booted() {
		return true
	}
	return s.connect() == nil
}

// paths are the directories of unit files that the options mean.
func (s *systemctl) paths() install.Paths {
	root := s.Root + s.o.root
	switch s.o.scope {
	case scopeUser:
		return install.UserPaths(loader.UserPath(s.Getenv))
	case scopeGlobal:
		return install.GlobalPaths(root, loader.UserPath(func(string) string { return "" }))
	}
	return install.SystemPaths(root, loader.SystemPath())
}
