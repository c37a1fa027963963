// Package ctl is musterctl: the command line of the manager, and the other names people know it by (systemctl, systemd-run, systemd-analyze,
// systemd-escape, shutdown …).
//
// A tool is a function of an Env (what it reads, writes and dials) and its arguments to an exit status; nothing here is global, so that tests run
// any tool against a server of their own and compare what it printed.
//
// Invariants:
//
//  1. Data goes to Out, talk to Err. What is the same in systemctl(1) is printed byte by byte as systemctl of systemd 257 prints it.
//  2. Output has colours, a pager and cut lines only on a terminal.
//  3. Verbs that are muster's own speak as `error:` and `hint:` lines.
//
// A verb is one row of a table (verb.go) and one file; options are rows of a table too (getopt.go), from which completion is made.
package ctl
