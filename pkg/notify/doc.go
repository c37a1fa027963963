// Package notify is the codec of sd_notify(3): Parse reads what services send
// to the manager's notification socket, Socket sends what the manager tells
// its own supervisor through $NOTIFY_SOCKET.
//
// Parse is pure. Its rules were taken from observing systemd 252 and from
// sd_notify(3):
//
//  1. A datagram has at most MaxBytes; what is longer is ignored as a whole,
//     as is one with a NUL byte before its end.
//  2. BARRIER=1 stands alone, or the whole datagram is ignored.
//  3. Of several assignments to one name the first counts; of READY=1,
//     RELOADING=1 and STOPPING=1 the last.
//  4. A bad value is ignored with a warning, the rest of the datagram is not.
//
// Whether the sender may say so, and whether it makes sense in the unit's
// state, is for the engine to judge.
package notify
