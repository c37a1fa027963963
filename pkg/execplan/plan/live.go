package plan

// LiveMount is something to mount into the mount namespace of a process that
// runs. A plan with one executes nothing: the executor does the work and ends
// with status 0. The first of FDs is a pidfd of the process.
type LiveMount struct {
	Source, Destination string
	ReadOnly            bool
	MakeTarget          bool
	Image               *Image // what Source is, nil for a file or directory
}
