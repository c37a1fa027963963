// Package machine is the contract between the engine, the state machines of the unit types and the shell around them.
//
// What happened comes in as an Event, what to do goes out as an Effect; both are plain data that can be written to a
// log and played again. Three kinds of effects exist:
//
//   - Queries (Spawn, Kill with a token, CheckCgroup, CheckPID, TestConditions, ReadPIDFile, GuessMainPID, AttachPIDs, RemoveDirectories with a
//     token; see WithToken) are answered by exactly one event that carries the same
//     token. The shell answers Spawn, Kill, CheckCgroup, CheckPID and GuessMainPID before it delivers any other event; the slow ones may be answered later.
//   - Commands (RealizeCgroup, RemoveDirectories, CloseHandle, …) are carried out in order; a failure is logged by the shell.
//   - Announcements (UnitChanged, JobNew, JobRemoved, Log, …) feed the bus, the log and the console.
//
// Contract with the shell:
//
//  1. Effects of one Step are carried out in the order in which they stand; none is dropped.
//  2. UnitChanged(u) of the state that ended a job stands before JobRemoved of that job.
//  3. The run queue moves only on Idle: the shell sends Idle after it has handled what was ready, and repeats while
//     Engine.Runnable() is true.
//  4. A token is answered once. Tokens that were open at a snapshot are asked again after Restore.
//  5. The pid in ProcessExited has been reaped by the shell after all notify datagrams that were there at the time of
//     reaping have been delivered (the reap rule).
package machine
