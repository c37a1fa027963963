// Package varlink is what the manager needs of varlink (varlink.org): a server for sockets that anybody may connect to, and a client that only reports.
//
// A message is a JSON text that ends with a NUL. A client sends calls and gets their answers in the order of the calls; a call with "more" may get many,
// all but the last with "continues"; one with "oneway" gets none.
//
// Invariants:
//  1. Nothing blocks, and nothing runs but on the owner's loop, which says when a descriptor is ready ([Poll]).
//  2. Everything is bounded: clients, the length of a call, what waits to be sent to one client, calls of one client before the others get their turn.
//  3. A client that doesn't take its answers is not read from, and is dropped when too much waits for it. When there are too many clients the oldest
//     goes, but never one that has a [Stream]: whoever holds connections open must not push out a subscriber.
//
// It exists because PID 1 needs a server that runs on its loop; the libraries for varlink bring goroutines for each connection and package net.
package varlink
