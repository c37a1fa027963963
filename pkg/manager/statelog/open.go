package statelog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
)

// Open reads the newest state of two files that an earlier image left and returns the log, ready for more, together with the records.
// Torn says how many bytes behind the last good record were given up (0 after a planned execve).
func Open(a, b File) (l *Log, records map[string][]byte, torn int64, err error) {
	l = &Log{files: [2]File{a, b}, live: map[string]ref{}}
	var first error
	for i, f := range l.files {
		g, e := readHeader(f)
		if e != nil {
			first = errors.Join(first, e)
			continue
		}
		if g > l.generation {
			l.generation, l.current = g, i
		}
	}
	if l.generation == 0 {
		return nil, nil, 0, fmt.Errorf("%w: %w", ErrNoState, first)
	}
	data, err := readAll(l.files[l.current])
	if err != nil {
		return nil, nil, 0, err
	}
	records = map[string][]byte{}
	off := int64(headerSize)
	for off < int64(len(data)) {
		key, value, flags, size := parseRecord(data[off:])
		if size == 0 {
			break
		}
		if old, ok := l.live[key]; ok {
			l.liveBytes -= old.size
			delete(l.live, key)
			delete(records, key)
		}
		if flags&flagDelete == 0 {
			l.live[key] = ref{off, size}
			l.liveBytes += size
			records[key] = value
		}
		off += size
	}
	l.end = off
	torn = int64(len(data)) - off
	if torn > 0 {
		if err := l.files[l.current].Truncate(off); err != nil {
			return nil, nil, 0, fmt.Errorf("state: %w", err)
		}
	}
	return l, records, torn, nil
}

// Read gives the records of a file that Copy made, without changing it. Torn is the number of bytes that are no sound record.
func Read(f File) (records map[string][]byte, torn int64, err error) {
	if _, err := readHeader(f); err != nil {
		return nil, 0, err
	}
	data, err := readAll(f)
	if err != nil {
		return nil, 0, err
	}
	records = map[string][]byte{}
	off := int64(headerSize)
	for off < int64(len(data)) {
		key, value, flags, size := parseRecord(data[off:])
		if size == 0 {
			break
		}
		delete(records, key)
		if flags&flagDelete == 0 {
			records[key] = value
		}
		off += size
	}
	return records, int64(len(data)) - off, nil
}

// parseRecord returns size 0 if no whole, sound record stands at the start of data.
func parseRecord(data []byte) (key string, value []byte, flags uint16, size int64) {
	if len(data) < recordHead {
		return "", nil, 0, 0
	}
	keyLen := int64(binary.LittleEndian.Uint16(data[4:]))
	flags = binary.LittleEndian.Uint16(data[6:])
	valueLen := int64(binary.LittleEndian.Uint32(data[8:]))
	size = recordHead + keyLen + valueLen
	if keyLen == 0 || keyLen > MaxKey || valueLen > MaxValue || size > int64(len(data)) {
		return "", nil, 0, 0
	}
	if crc32.Checksum(data[4:size], table) != binary.LittleEndian.Uint32(data) {
		return "", nil, 0, 0
	}
	return string(data[recordHead : recordHead+keyLen]), data[recordHead+keyLen : size], flags, size
}

func readHeader(f File) (uint64, error) {
	var h [headerSize]byte
	if n, err := f.ReadAt(h[:], 0); n < headerSize {
		return 0, fmt.Errorf("state: header: %w", err)
	}
	if binary.LittleEndian.Uint32(h[0:]) != magic || crc32.Checksum(h[:20], table) != binary.LittleEndian.Uint32(h[20:]) {
		return 0, errors.New("state: header doesn't check out")
	}
	if v := binary.LittleEndian.Uint32(h[4:]); v != version {
		return 0, fmt.Errorf("state: version %d is not known to this program", v)
	}
	return binary.LittleEndian.Uint64(h[8:]), nil
}

func readAll(f File) ([]byte, error) {
	data := make([]byte, 0, 1<<20)
	for {
		if len(data) == cap(data) {
			data = slices.Grow(data, len(data))
		}
		n, err := f.ReadAt(data[len(data):cap(data)], int64(len(data)))
		data = data[:len(data)+n]
		if err == io.EOF || n == 0 {
			return data, nil
		}
		if err != nil {
			return nil, fmt.Errorf("state: %w", err)
		}
	}
}

// readFull fills p from the beginning of a file.
func readFull(f File, p []byte) error {
	for off := 0; off < len(p); {
		n, err := f.ReadAt(p[off:], int64(off))
		off += n
		if off == len(p) {
			return nil
		}
		if err != nil || n == 0 {
			return fmt.Errorf("%d of %d bytes: %w", off, len(p), errors.Join(err, io.ErrUnexpectedEOF))
		}
	}
	return nil
}
