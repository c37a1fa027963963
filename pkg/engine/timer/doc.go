// Package timer is the state machine of timer units (systemd.timer(5)): they activate another unit when time has come.
//
//	      start                    elapse               the unit is down again
//	dead ───────▶ waiting ───────────────────▶ running ───────────────────────▶ waiting, elapsed or dead
//	 ▲               │ nothing to wait for        │
//	 │               ▼                            │ the job can't be queued
//	 ├─────────── elapsed ◀── RemainAfterElapse=  ▼
//	 └── stop                                   failed
//
//	sub-state  active state  waits for                          how it ends
//	dead       inactive      –                                  start; with Persistent= the stamp file is read first
//	waiting    active        NextMonotonic, NextRealtime,       elapse, stop; worked out anew when the unit changes its
//	                         OnClockChange=, OnTimezoneChange=  state and when the clock is set
//	running    active        the end of the unit                the unit became inactive or failed, or its job ended so
//	elapsed    active        –                                  stop; a change of the unit's state (OnUnitActiveSec=)
//	failed     failed        –                                  ResetFailed, start
//
// Invariants:
//
//  1. NextMonotonic and NextRealtime are 0 in every sub-state but waiting.
//  2. A job is queued only on the way from waiting to running, so a unit that takes longer than the interval is not started again meanwhile.
//  3. OnActiveSec=, OnBootSec= and OnStartupSec= elapse once: what lies in the past after the first elapse is switched off.
//
// Moments that are asked for are the beginning of a window of AccuracySec=; which moment in it is chosen is up to the engine.
package timer
