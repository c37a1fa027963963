// Package execplan turns the configuration of a unit and the circumstances of
// one start into a [plan.Plan], the struct that crosses to the child. It is
// pure: the same unit and context always give the same plan.
//
// Its second task is to choose the tier. Tier 1 is a fixed list of system
// calls and serves the common service; tier 2 is the executor, for what needs
// a program: names to resolve, directories to make, files to read, terminals
// to fight for, mounts. The plan names the settings that asked for it.
//
// Invariants:
//
//  1. A setting that has no implementation and is not at its default makes
//     Build fail with a message that names it. A service is never run with
//     less protection than its unit asks for.
//  2. Tier 1 is only chosen when nothing is left to find out.
//  3. The environment is layered as in systemd.exec(5), "Environment variables
//     in spawned processes": manager, unit, user, ExecSearchPath=,
//     PassEnvironment=, Environment=, EnvironmentFile=, less UnsetEnvironment=.
package execplan
