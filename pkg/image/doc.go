// Package image mounts disk images (systemd.exec(5), RootImage=, MountImages= and
// ExtensionImages=): a file or block device with one file system, or with a
// table of partitions whose types say what they are for (the Discoverable
// Partitions Specification).
//
//	Open    reads the image: partitions, file systems, verity data; judges them by the policy
//	Mount   makes a detached mount of each partition that is used
//
// Invariants:
//
//  1. Nothing outlives the mounts: loop devices clear themselves when the last
//     user is gone, verity devices are removed the same way, and what was opened
//     on the way to a failure is closed.
//  2. What an image says is not believed: each number is checked against the
//     size of the file, each list has a bound.
//  3. No partition scan, no udev, no foreign program: a partition is a loop
//     device with an offset, so that images work where no one makes nodes for
//     partitions. Only file systems of a list are mounted, as the kernel's
//     drivers for others aren't made for hostile data.
package image
