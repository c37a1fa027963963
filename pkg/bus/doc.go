// Package bus is muster's D-Bus transport: the wire codec, both sides of the
// authentication handshake, a connection for an external epoll loop, and a
// small blocking client.
//
// It exists because PID 1 needs three things together that no library gives:
// a server side for /run/systemd/private, calls handled in the order they
// were sent, and encoding without garbage. The types that appear in arguments
// (ObjectPath, Signature, Variant) are godbus' own, so values pass freely
// between this package and a godbus client.
//
// Layers, each usable alone:
//
//   - Encoder and Decoder: values to and from bytes, by typed methods, with
//     errors kept until asked for. Value and Decode do the same from a
//     signature, for rare complex arguments.
//   - Message: one message; Append and Parse are its wire form.
//   - Conn: one connection driven by a loop. It never blocks, starts no
//     goroutine, and holds a bounded amount of input, output and file
//     descriptors whatever the peer does.
//   - Client: a Conn and poll(2), for command line tools.
//
// Invariants:
//
//  1. No input makes this package panic, and nothing is allocated for bytes
//     that have not arrived: buffers grow with what was received.
//  2. Messages of one connection are delivered in the order they were sent.
//  3. Every file descriptor received is owned by exactly one Message, or
//     closed. Descriptors queued for sending are duplicates.
//  4. Library code does not log; a broken peer is an error from OnReadable or
//     OnWritable, after which the connection is to be closed.
//
// The wire format, the handshake and the limits are those of the D-Bus
// specification, version 0.43.
package bus
