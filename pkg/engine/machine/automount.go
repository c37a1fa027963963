package machine

type (
	// OpenAutomount makes the automount point of Unit off the loop and begins to watch it. Answer: AutomountOpened.
	OpenAutomount struct {
		Token Token
		Unit  string
	}
	// AutomountOpened answers OpenAutomount. Device is the number that the kernel knows the point by.
	AutomountOpened struct {
		Token   Token
		Handle  Handle
		Device  uint32
		Message string // why there is none, "" there is
	}
)

// Commands about automount points. Where and Device say which one.
type (
	// WatchAutomount asks for AutomountAsked and AutomountGone.
	WatchAutomount struct {
		Unit   string
		Handle Handle
	}
	// AckAutomount wakes those who wait for Tokens: with Errno 0 they go on, else they get that error. Carried out off the loop.
	AckAutomount struct {
		Unit, Where string
		Device      uint32
		Tokens      []uint32
		Errno       int32
	}
	// ExpireAutomount asks the kernel to look whether what is mounted has not been used for TimeoutIdleSec=. Off the loop.
	ExpireAutomount struct {
		Unit, Where string
		Device      uint32
	}
	// CloseAutomount takes an automount point away. Tokens get Errno first. Off the loop.
	CloseAutomount struct {
		Unit, Where string
		Handle      Handle
		Device      uint32
		Tokens      []uint32
		Errno       int32
	}
)

type (
	// AutomountAsked reports that somebody has opened an automount point and sleeps, or with Expire that what is mounted there is to be unmounted.
	AutomountAsked struct {
		Unit   string
		Number uint32 // token of the kernel
		Expire bool
		Who    string // for the message
	}
	// AutomountGone reports that somebody else has unmounted an automount point.
	AutomountGone struct{ Unit string }
)

func (OpenAutomount) effect()   {}
func (WatchAutomount) effect()  {}
func (AckAutomount) effect()    {}
func (ExpireAutomount) effect() {}
func (CloseAutomount) effect()  {}
func (AutomountOpened) event()  {}
func (AutomountAsked) event()   {}
func (AutomountGone) event()    {}
