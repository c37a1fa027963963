// Package install makes the links by which units are enabled, masked, linked and so on (systemctl(1), "Unit File Commands").
//
// Every operation is a pure plan first: which links to make and which to remove, computed from the unit files (a Files) and the links that are there.
// Apply then carries a plan out and reports what really changed. So `--dry-run`, the bus and the ctl tool share one piece of code.
package install

// Change is one step of a plan, or what came of it: symlink (Path → Source), unlink (Path), or a remark with Path empty.
type Change struct {
	Type   string // symlink, unlink, or what went wrong: masked, dangling, no-install, …
	Path   string
	Source string
}

// Change types.
const (
	Symlink = "symlink"
	Unlink  = "unlink"
	// Remarks.
	IsMasked        = "masked"
	IsMaskedGen     = "masked-generator"
	IsDangling      = "dangling"
	DestinationGone = "destination-not-present"
	AuxiliaryFailed = "auxiliary-failed"
)
