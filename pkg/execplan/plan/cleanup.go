package plan

// Cleanup is what is left of an activation to take away. A plan with one
// executes nothing: the executor does the work, off the manager's loop, and
// ends with status 0.
type Cleanup struct {
	// Directories are removed with all that is in them, each below its prefix.
	Directories []CleanupDirectory
	TmpDirs     []string // of PrivateTmp=
	Ephemeral   string   // copy of RootEphemeral=, "" none
	Credentials string   // directory, "" none
	// DynamicUser and DynamicGroup are names to give back, "" none. A group of its own has a number of the same range.
	DynamicUser, DynamicGroup string
	RemoveIPC                 bool // IPC objects of User, or of DynamicUser
	User                      string
	NFT                       *NFTOwner // whom to take out of sets of nftables
	Dead                      *Utmp     // utmp record to close, with PID, Signal and Status
	DeadPID                   int32
	DeadSignal                int32
	DeadStatus                int32
}

// CleanupDirectory is one directory to remove, with the links to it.
type CleanupDirectory struct {
	Prefix, Path string
	Private      bool // also below private/
	Symlinks     []string
}
