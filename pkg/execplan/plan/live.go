package plan

// Sockets are made by an executor that was born in the control group of a
// socket unit: a socket belongs to the group it was made in, and so do the
// programs that filter it. They go through the first of FDs, in their order.
// A plan with them executes nothing.
type Sockets struct {
	Kinds      [][3]int32 // family, type and protocol, as socket(2) has them
	NetNS      string     // network namespace, "" the manager's
	PrivateNet bool       // a new one
}

// LiveMount is something to mount into the mount namespace of a process that
// runs. A plan with one executes nothing: the executor does the work and ends
// with status 0. The first of FDs is a pidfd of the process.
type LiveMount struct {
	Source, Destination string
	ReadOnly            bool
	MakeTarget          bool
	Image               *Image // what Source is, nil for a file or directory
}

// Refresh makes anew what a service that runs was given when it started, in its mount namespace: the first of FDs is a pidfd of its main process.
// Credentials are those of the plan, or else its extensions are meant. A plan with it executes nothing.
type Refresh struct{ Credentials bool }
