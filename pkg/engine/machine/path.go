package machine

// Queries and events about watched paths.
type (
	// WatchPaths begins to watch every path of Unit off the loop, in place of what was watched for it before, and looks what is there once the
	// watches are set, so that no change is missed between the two. Make: MakeDirectory= applies. Answer: PathsWatched.
	WatchPaths struct {
		Token Token
		Unit  string
		Make  bool
	}
	// PathsWatched answers WatchPaths. Exists stands in the order of the configuration's Paths: whether there is a file, a match, or
	// something in the directory. Message: why the paths can't be watched, "" they are.
	PathsWatched struct {
		Token   Token
		Exists  []bool
		Message string
	}
	// PathTouched reports that something happened to the watched path number Index of Unit itself, or with Index -1 that something around
	// the paths has changed and they have to be looked at again.
	PathTouched struct {
		Unit  string
		Index int
	}
	// UnwatchPaths ends the watching.
	UnwatchPaths struct{ Unit string }
)

func (WatchPaths) effect()   {}
func (UnwatchPaths) effect() {}
func (PathsWatched) event()  {}
func (PathTouched) event()   {}
