// Package listen opens what socket units listen on, and takes connections.
//
// Open makes every listener of a [Socket] section with all its options, in the order of the configuration; either all of
// them come to be or none. It follows paths (directories are made, stale nodes removed), so it may hang with the file system:
// the manager calls it on a worker. Accept, Flush and the description of peers work on descriptors only and never block.
//
// Invariants: every descriptor is non-blocking and close-on-exec; a node in the file system never has a wider mode than
// SocketMode=, not even for a moment. systemd.socket(5), socket(7), ip(7), tcp(7), unix(7), vsock(7), netlink(7), mq_overview(7).
package listen
