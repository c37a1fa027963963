//go:build linux && (amd64 || arm64)

package main

// handler and converse are C functions in assembly. handler calls the first
// step, fork; in the parent it returns the child's pid, in the child it calls
// the other steps one after the other, whatever they return, of which the last
// doesn't return. A forked Go program can't run Go: its other threads are gone,
// with what they held.
//
// converse is the conversation function for PAM: there is nobody to answer, so
// it always fails with PAM_CONV_ERR.
func handler()
func converse()

// Their addresses as C sees them.
var handlerAddr, converseAddr uintptr
