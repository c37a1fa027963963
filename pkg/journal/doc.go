// Package journal is how muster logs: to journald's native socket, as the
// stream its services' output goes to, to the kernel log before journald is
// there, and to a bounded memory of its own where there is none.
//
//   - Entry encodes one entry of the native protocol; Socket sends it without
//     ever waiting, see https://systemd.io/JOURNAL_NATIVE_PROTOCOL/.
//   - StreamHeader is what a stream to /run/systemd/journal/stdout begins
//     with.
//   - Memory keeps the last lines of every unit; LineReader makes lines of
//     what comes out of a pipe, by journald's rules.
//   - AppendKmsg formats records for /dev/kmsg.
//   - The Msg… constants are the message ids the manager uses, so that
//     `journalctl -u` and catalogs know its messages.
//
// Invariants: nothing waits for a reader, every queue and memory has a bound
// in bytes, and what is dropped is counted. Names of fields are those of
// systemd.journal-fields(7).
package journal
