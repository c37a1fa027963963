// Package depend says what dependencies mean and which ones a unit has without anybody writing them.
//
//   - atom.go: users write dependency types (Requires=, BindsTo=, …); the engine acts on atoms ("pulls in a start",
//     "propagates a stop"). Each type is a set of atoms, and each atom has one reader in the engine.
//   - edge.go: Edges gives all dependencies of one unit: the written ones, the implicit ones that follow from its type
//     and settings, and the default ones of DefaultDependencies=yes. Every edge says where it comes from.
//   - mount.go: Paths gives the paths whose mount units a unit needs; the engine joins them with the mounts that exist.
//
// Everything is a pure function of the configuration and of Env, which says what kind of manager runs. The facts
// follow systemd.unit(5), systemd.service(5), systemd.exec(5), … (sections "Implicit Dependencies" and "Default
// Dependencies"), and compat/implicit_dependencies.tsv, row by row.
package depend
