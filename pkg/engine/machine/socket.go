package machine

import "github.com/muster-init/muster/pkg/job"

// Port is one open listener of a socket unit. Listen is its place in the configuration at the time of opening; Address is
// that line's kind and address, so that a changed configuration can be told from the one that was opened. Aux are further
// descriptors that belong to it (end points of USB functions), passed right behind Handle.
type Port struct {
	Handle  Handle   `json:"h"`
	Aux     []Handle `json:"x,omitempty"`
	Kind    string   `json:"k"`
	Address string   `json:"a"`
}

// Connection is one accepted connection. Instance is what its unit's name says about the two ends (without the number in front),
// Source is equal for connections of the same peer ("" if that can't be told), Peer is for people. Env are assignments for the
// service (REMOTE_ADDR=, REMOTE_PORT=, SO_COOKIE=).
type Connection struct {
	Handle   Handle   `json:"h"`
	Name     string   `json:"n,omitempty"` // for LISTEN_FDNAMES; "" is connection
	Instance string   `json:"i,omitempty"`
	Source   string   `json:"s,omitempty"`
	Peer     string   `json:"p,omitempty"`
	Env      []string `json:"e,omitempty"`
}

// Queries about sockets; they may be answered later.
type (
	// OpenSockets opens every listener of Unit, in the order of the configuration, with all options. Answer: SocketsOpened.
	OpenSockets struct {
		Token Token
		Unit  string
	}
	// ChownSockets gives what Unit has in the file system to SocketUser= and SocketGroup=. Answer: SocketsChowned.
	ChownSockets struct {
		Token Token
		Unit  string
	}
	// CloseSockets closes listeners; with RemoveOnStop= what is left of them in the file system goes as well. Answer:
	// SocketsClosed. Token 0: no answer wanted.
	CloseSockets struct {
		Token Token
		Unit  string
		Ports []Port
	}
)

// Commands about sockets.
type (
	// WatchSockets asks for SocketReady of listeners. Accept: the shell takes the connection and sends it along. UnwatchSockets ends that.
	WatchSockets struct {
		Unit   string
		Ports  []Handle
		Accept bool
	}
	UnwatchSockets struct {
		Unit  string
		Ports []Handle
	}
	// FlushSockets throws away what waits in listeners.
	FlushSockets struct {
		Unit  string
		Ports []Handle
	}
)

// Events about sockets.
type (
	// SocketsOpened answers OpenSockets. With a Message nothing was left open.
	SocketsOpened struct {
		Token   Token
		Ports   []Port
		Message string
	}
	// SocketsChowned answers ChownSockets.
	SocketsChowned struct {
		Token   Token
		Message string // "" is success
	}
	// SocketsClosed answers CloseSockets.
	SocketsClosed struct{ Token Token }
	// SocketReady reports that something waits in a listener: data, or the connection Conn that was just accepted. Problem, if not "", says
	// why the listener is of no use any more.
	SocketReady struct {
		Unit    string
		Port    Handle
		Conn    *Connection
		Problem string
	}
)

func (OpenSockets) effect()    {}
func (ChownSockets) effect()   {}
func (CloseSockets) effect()   {}
func (WatchSockets) effect()   {}
func (UnwatchSockets) effect() {}
func (FlushSockets) effect()   {}

func (SocketsOpened) event()  {}
func (SocketsChowned) event() {}
func (SocketsClosed) event()  {}
func (SocketReady) event()    {}

// Peer is how another unit stands, for the units that activate it. The zero value is a unit that is not loaded.
type Peer struct {
	Name    string // primary name
	Loaded  bool   // load state loaded
	Active  ActiveState
	Sub     string
	Result  string
	Job     job.Type // of the installed job, "" if there is none
	Problem string   // why it is not loaded
	// LimitHit: its last start was refused because of StartLimitBurst=.
	LimitHit bool
}

// Waking reports whether the unit is up, on its way there, or has a job that will start it.
func (p Peer) Waking() bool {
	switch p.Job {
	case job.Start, job.Restart, job.ReloadOrStart:
		return true
	}
	return p.Active.IsActiveOrActivating()
}

// Triggering is what the engine offers units that activate others.
type Triggering interface {
	Timing
	// Trigger queues a start job of a unit that this one activates (cause trigger).
	Trigger(name string, mode job.Mode) *Error
	// Triggers lists the loaded units that this one activates.
	Triggers() []Peer
	// Peer is how a unit stands. It is loaded for that if need be.
	Peer(name string) Peer
	// Connect hands a connection to the unit of this name, which becomes one that this unit activates, and queues its start job. On an
	// error that unit has forgotten the connection (again), and its handle is closed.
	Connect(name string, c Connection) *Error
}

type (
	// Connector is a machine that serves one connection, whose handle it owns from then on; Releaser.Release lets it go.
	Connector interface {
		Connect(h Host, c Connection) *Error
	}
	// Deferrer waits for the job queue: in sub-state deferred it is told whenever a job has ended, with the number of those that are left.
	Deferrer interface{ JobsChanged(h Host, left int) }
)
