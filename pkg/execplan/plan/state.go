package plan

// UnitStateDir is where PID 1 tells journald about units
// (systemd-journald.service(8) reads it for each new stream and sender).
const UnitStateDir = "/run/systemd/units"

// StateFile is one thing told: a symbolic link whose target is the value, or
// else a file. One with neither is removed.
type StateFile struct {
	Name string // relative to UnitStateDir
	Link string
	Data []byte
}
