package control

import (
	"slices"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit"
)

// Errors of CleanUnit and of requests to a unit that is in use.
var (
	ErrUnitBusy       = &machine.Error{Name: NameUnitBusy, Message: "Unit is not inactive or has pending job."}
	ErrNothingToClean = &machine.Error{Name: "org.freedesktop.systemd1.NothingToClean", Message: "No matching resources found."}
)

// NameUnitBusy is the D-Bus name of the error that a unit is in use.
const NameUnitBusy = "org.freedesktop.systemd1.UnitBusy"

// Wanted tells whether the mask of CleanUnit names a kind; "all" is every one.
func Wanted(mask []string, kind string) bool {
	return slices.Contains(mask, kind) || slices.Contains(mask, "all")
}

// WantedKinds are those of kinds that the mask names.
func WantedKinds(kinds, mask []string) []string {
	return slices.DeleteFunc(kinds, func(k string) bool { return !Wanted(mask, k) })
}

// DirectoryKinds lists the kinds of directories that a unit's settings name, in the words of CleanUnit.
func DirectoryKinds(cfg *unit.Unit) []string {
	e := cfg.GetExec()
	var kinds []string
	for _, d := range []struct {
		kind string
		dir  unit.Directory
	}{
		{"runtime", e.RuntimeDirectory}, {"state", e.StateDirectory}, {"cache", e.CacheDirectory}, {"logs", e.LogsDirectory},
		{"configuration", e.ConfigurationDirectory},
	} {
		if len(d.dir.Items) > 0 {
			kinds = append(kinds, d.kind)
		}
	}
	return kinds
}
