// Package statelog keeps the manager's state in memory files that survive an execve of any kind, planned or not.
//
// A Log is a list of keyed records in one of two memory files. Put and Delete append; the newest record of a key counts. When the file holds
// mostly old records the live ones are written to the other file, under the next generation, and the roles change. A record carries its
// length and checksum, so that a write that was torn at any byte costs that record only: Open reads up to the first record that doesn't check
// out. The files are never on a disk and never fill one.
//
// Invariants:
//
//  1. At every moment at least one file holds a complete state: a file is truncated only when the other one is the newer and complete.
//  2. A file counts only if its header checks out; the header is written after the records of a compaction.
//  3. The content of a Batch is written by one pwrite.
package statelog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sort"
)

// File is a memory file: *os.File of a memfd, or a fake in tests.
type File interface {
	WriteAt(p []byte, off int64) (int, error)
	ReadAt(p []byte, off int64) (int, error)
	Truncate(size int64) error
}

const (
	magic      = 0x6d757374 // "must"
	headerSize = 24         // magic u32, version u32, generation u64, reserved u32, crc u32
	recordHead = 12         // crc u32, key length u16, flags u16, value length u32
	version    = 1

	flagDelete = 1

	// MaxKey and MaxValue bound one record, in bytes.
	MaxKey   = 4096
	MaxValue = 64 << 20

	compactMinimum = 1 << 20 // bytes of log below which nothing is compacted
)

// ErrNoState says that neither file holds a state.
var ErrNoState = errors.New("state: neither memory file holds a state")

var table = crc32.MakeTable(crc32.Castagnoli)

// Log is the open log. It is not safe for concurrent use: only the loop writes it.
type Log struct {
	files      [2]File
	current    int
	generation uint64
	end        int64          // where the next record goes in the current file
	live       map[string]ref // newest record of each key
	liveBytes  int64
	batch      []byte
	pending    []pendingRecord
}

type ref struct{ off, size int64 } // the whole record in the current file

type pendingRecord struct {
	key     string
	size    int64
	deleted bool
}

// Create begins an empty log in two empty files.
func Create(a, b File) (*Log, error) {
	l := &Log{files: [2]File{a, b}, generation: 1, end: headerSize, live: map[string]ref{}}
	for _, f := range l.files {
		if err := f.Truncate(0); err != nil {
			return nil, fmt.Errorf("state: %w", err)
		}
	}
	return l, l.writeHeader(0, 1)
}

// Put adds a record to the batch. The value is copied.
func (l *Log) Put(key string, value []byte) error { return l.add(key, value, 0) }

// Delete adds the removal of a key to the batch.
func (l *Log) Delete(key string) error {
	return l.add(key, nil, flagDelete)
}

func (l *Log) add(key string, value []byte, flags uint16) error {
	if len(key) == 0 || len(key) > MaxKey || len(value) > MaxValue {
		return fmt.Errorf("state: record %.64q: %d bytes of key and %d of value are out of bounds", key, len(key), len(value))
	}
	l.batch = appendRecord(l.batch, key, value, flags)
	l.pending = append(l.pending, pendingRecord{key, int64(recordHead + len(key) + len(value)), flags == flagDelete})
	return nil
}

// Flush writes the batch. On an error the batch is kept and the next Flush tries again.
func (l *Log) Flush() error {
	if len(l.batch) == 0 {
		return nil
	}
	if _, err := l.files[l.current].WriteAt(l.batch, l.end); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	off := l.end
	for _, p := range l.pending {
		if old, ok := l.live[p.key]; ok {
			l.liveBytes -= old.size
		}
		if p.deleted {
			delete(l.live, p.key)
		} else {
			l.live[p.key] = ref{off, p.size}
			l.liveBytes += p.size
		}
		off += p.size
	}
	l.end = off
	l.batch, l.pending = l.batch[:0], l.pending[:0]
	if cap(l.batch) > 1<<20 {
		l.batch = nil
	}
	if l.end > compactMinimum && l.end > 3*l.liveBytes {
		return l.compact()
	}
	return nil
}

// Copy writes the live records to an empty file, as a log of its own that Read and Open take. The batch is not part of it: Flush before.
func (l *Log) Copy(to File) error {
	keys := make([]string, 0, len(l.live))
	for k := range l.live {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	all := make([]byte, l.end)
	if err := readFull(l.files[l.current], all); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	out := make([]byte, headerSize, headerSize+l.liveBytes)
	for _, k := range keys {
		r := l.live[k]
		out = append(out, all[r.off:r.off+r.size]...)
	}
	writeHead(out[:headerSize], l.generation)
	if _, err := to.WriteAt(out, 0); err != nil {
		return fmt.Errorf("state: copy: %w", err)
	}
	return nil
}

// Keys lists the keys of the live records, sorted; the batch is not part of them.
func (l *Log) Keys() []string {
	keys := make([]string, 0, len(l.live))
	for k := range l.live {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// Len is the number of live records, Size the bytes of the current file.
func (l *Log) Len() int    { return len(l.live) }
func (l *Log) Size() int64 { return l.end }

func (l *Log) compact() error {
	from, to := l.files[l.current], l.files[1-l.current]
	if err := to.Truncate(0); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	keys := make([]string, 0, len(l.live))
	for k := range l.live {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	moved := make(map[string]ref, len(keys))
	all := make([]byte, l.end)
	if err := readFull(from, all); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	out := make([]byte, 0, l.liveBytes)
	for _, k := range keys {
		r := l.live[k]
		start := len(out)
		out = append(out, all[r.off:r.off+r.size]...)
		moved[k] = ref{headerSize + int64(start), r.size}
	}
	if _, err := to.WriteAt(out, headerSize); err != nil && len(out) > 0 {
		return fmt.Errorf("state: %w", err)
	}
	if err := l.writeHeader(1-l.current, l.generation+1); err != nil {
		return err
	}
	l.current, l.generation = 1-l.current, l.generation+1
	l.live, l.end = moved, headerSize+int64(len(out))
	// The old file is left alone until the next compaction: if the header just written were lost it would still count.
	return nil
}

func (l *Log) writeHeader(file int, generation uint64) error {
	var h [headerSize]byte
	writeHead(h[:], generation)
	if _, err := l.files[file].WriteAt(h[:], 0); err != nil {
		return fmt.Errorf("state: header: %w", err)
	}
	return nil
}

// writeHead fills in the header of a file.
func writeHead(h []byte, generation uint64) {
	binary.LittleEndian.PutUint32(h[0:], magic)
	binary.LittleEndian.PutUint32(h[4:], version)
	binary.LittleEndian.PutUint64(h[8:], generation)
	binary.LittleEndian.PutUint32(h[20:], crc32.Checksum(h[:20], table))
}

func appendRecord(dst []byte, key string, value []byte, flags uint16) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(key)))
	dst = binary.LittleEndian.AppendUint16(dst, flags)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(value)))
	dst = append(dst, key...)
	dst = append(dst, value...)
	binary.LittleEndian.PutUint32(dst[start:], crc32.Checksum(dst[start+4:], table))
	return dst
}
