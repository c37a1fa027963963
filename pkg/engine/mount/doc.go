// Package mount is the state machine of mount units (systemd.mount(5)). mount(8) and umount(8) do the work as control processes; what really
// is mounted is what the kernel's mount table says, and a unit follows it whoever mounted or unmounted something.
//
//	      start            in the table             exit
//	dead ─────▶ mounting ───────────────▶ mounting-done ─────▶ mounted ◀───▶ remounting
//	 ▲             │ timeout, stop            │                  │ ▲  reload
//	 │             ▼                          ▼             stop │ │ umount failed
//	 ├──── unmounting-sigterm ──▶ unmounting-sigkill             ▼ │
//	 └──────────────────────────────────────────────────────  unmounting
//	                           not in the table any more
//
//	sub-state            active state   process  timer          how it ends
//	dead                 inactive       –        –              start; something was mounted there
//	mounting             activating     mount    TimeoutSec=    in the table; exit; timeout or stop
//	mounting-done        activating     mount    TimeoutSec=    exit; gone from the table again
//	mounted              active         –        –              stop, reload; gone from the table
//	remounting           reloading      mount    TimeoutSec=    exit, timeout
//	remounting-sigterm   reloading      mount    TimeoutSec=    exit, timeout
//	remounting-sigkill   reloading      mount    TimeoutSec=    exit, timeout
//	unmounting           deactivating   umount   TimeoutSec=    exit: umount again if something is left, at most 32 times
//	unmounting-sigterm   deactivating   either   TimeoutSec=    exit, timeout
//	unmounting-sigkill   deactivating   either   TimeoutSec=    exit, timeout
//	cleaning             maintenance    –        –              directories removed
//	failed               failed         –        –              start, ResetFailed; something was mounted there
//
// Invariants:
//
//  1. ControlPID is set in the states that the table gives a process, and in no other.
//  2. An exit is judged by the mount table of the same moment: the shell reads the table before it delivers exits (the reap rule).
//  3. A failed umount leaves the unit mounted; a mount(8) that ends well without anything mounted is a failure (protocol).
package mount
