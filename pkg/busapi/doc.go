// Package busapi serves org.freedesktop.systemd1(5): the manager, unit and job objects.
//
// An interface is a table (iface.go): its methods with their functions, its properties with their getters. The properties that show settings are
// derived from the rows of pkg/unit, so a directive has one row and no twin here; run-time properties (states, pids, time stamps) have a table per
// unit type. Dispatch, introspection, Get, GetAll, Set and PropertiesChanged know only tables.
//
// Everything runs on the manager's loop, in the order in which calls came in. A method that has to wait (a job, a file to write, a reload)
// keeps the call and answers later; it never blocks.
//
// Order of signals, on which clients rely: PropertiesChanged of a unit for a state stands before JobRemoved of the job that ended with it, and
// UnitNew before everything else about a unit.
package busapi
