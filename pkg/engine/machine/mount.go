package machine

// Phases of the programs that mount and swap units run. Their command lines follow from the settings of the unit; there is one per phase.
const (
	ExecMount      Phase = "ExecMount"
	ExecUnmount    Phase = "ExecUnmount"
	ExecRemount    Phase = "ExecRemount"
	ExecActivate   Phase = "ExecActivate"
	ExecDeactivate Phase = "ExecDeactivate"
)

// MountInfo is what the kernel says about a mount point: the topmost mount there, with the options of mount and file system in one list.
type MountInfo struct {
	Where   string `json:"where,omitempty"`
	What    string `json:"what,omitempty"`
	Type    string `json:"type,omitempty"`
	Options string `json:"options,omitempty"`
}

// SwapInfo is one swap area that the kernel uses.
type SwapInfo struct {
	What     string `json:"what,omitempty"`
	Priority int32  `json:"priority,omitempty"`
}

// What the kernel's tables say.
type (
	// MountTable reports mount points that came or are others than before, and those that are gone. All: Mounts is the whole table. Mount
	// points of the API file systems that PID 1 itself mounts are left out.
	MountTable struct {
		Mounts []MountInfo
		Gone   []string
		All    bool
	}
	// MountChanged tells a mount unit what the table says about its mount point; nil: nothing is mounted there. Made by the engine.
	MountChanged struct{ Info *MountInfo }
	// SwapTable is the whole table of swap areas.
	SwapTable struct{ Swaps []SwapInfo }
	// SwapChanged tells a swap unit what the table says about its area; nil: it is not used. Made by the engine.
	SwapChanged struct{ Info *SwapInfo }
)

// PrepareMount makes the mount point of Unit (and for a bind mount its source) off the loop, and checks it. Answer: MountPrepared.
type PrepareMount struct {
	Token Token
	Unit  string
}

// MountPrepared answers PrepareMount.
type MountPrepared struct {
	Token   Token
	Message string // why it can't be mounted there, "" it can
}

func (PrepareMount) effect() {}
func (MountTable) event()    {}
func (MountChanged) event()  {}
func (SwapTable) event()     {}
func (SwapChanged) event()   {}
func (MountPrepared) event() {}
