package spawn

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Types of records; utmp(5).
const (
	UtmpInit  int16 = 5
	UtmpLogin int16 = 6
	UtmpUser  int16 = 7
	UtmpDead  int16 = 8
)

const (
	utmpFile = "/run/utmp"
	wtmpFile = "/var/log/wtmp"
	utmpSize = 384
	// maxUtmp bounds the records searched for one to replace.
	maxUtmp = 1 << 16
)

// UtmpRecord is what a record says about a process on a terminal.
type UtmpRecord struct {
	Type    int16
	PID     int32
	Session int32
	ID      string // up to 4 bytes count
	Line    string // terminal, with or without /dev/
	User    string
	// Termination and Exit are of a dead process: signal and exit status.
	Termination, Exit int16
}

// WriteUtmp puts a record into utmp, in the place of the one with the same ID,
// and appends it to wtmp. Files that don't exist are left alone. It opens
// files: not for the manager's loop.
func WriteUtmp(r UtmpRecord) error {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_REALTIME, &now); err != nil {
		return err
	}
	rec := r.bytes(int32(now.Sec), int32(now.Nsec/1000))
	err := updateUtmp(r.shortID(), rec)
	fd, werr := unix.Open(wtmpFile, unix.O_WRONLY|unix.O_APPEND|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if werr == nil {
		_, werr = unix.Write(fd, rec)
		unix.Close(fd)
	}
	if errors.Is(werr, unix.ENOENT) {
		werr = nil
	}
	return errors.Join(err, werr)
}

// shortID are the last 4 bytes of the ID, as getty and friends have it.
func (r UtmpRecord) shortID() [4]byte {
	id := r.ID
	if len(id) > 4 {
		id = id[len(id)-4:]
	}
	var b [4]byte
	copy(b[:], id)
	return b
}

// bytes is struct utmp of glibc with 32-bit times, which all 64-bit ports use.
func (r UtmpRecord) bytes(sec, usec int32) []byte {
	b := make([]byte, utmpSize)
	le := binary.NativeEndian
	le.PutUint16(b[0:], uint16(r.Type))
	le.PutUint32(b[4:], uint32(r.PID))
	copy(b[8:40-1], strings.TrimPrefix(r.Line, "/dev/"))
	id := r.shortID()
	copy(b[40:44], id[:])
	copy(b[44:76-1], r.User)
	le.PutUint16(b[332:], uint16(r.Termination))
	le.PutUint16(b[334:], uint16(r.Exit))
	le.PutUint32(b[336:], uint32(r.Session))
	le.PutUint32(b[340:], uint32(sec))
	le.PutUint32(b[344:], uint32(usec))
	return b
}

func updateUtmp(id [4]byte, rec []byte) error {
	fd, err := unix.Open(utmpFile, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", utmpFile, err)
	}
	defer unix.Close(fd)
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(uintptr(fd), unix.F_SETLK, &lock); err != nil {
		return fmt.Errorf("%s: lock: %w", utmpFile, err)
	}
	old := make([]byte, utmpSize)
	off := int64(0)
	for range maxUtmp {
		n, err := unix.Pread(fd, old, off)
		if err != nil {
			return fmt.Errorf("%s: %w", utmpFile, err)
		}
		if n < utmpSize {
			break
		}
		if t := binary.NativeEndian.Uint16(old); t >= uint16(UtmpInit) && t <= uint16(UtmpDead) && bytes.Equal(old[40:44], id[:]) {
			break
		}
		off += utmpSize
	}
	if _, err := unix.Pwrite(fd, rec, off); err != nil {
		return fmt.Errorf("%s: %w", utmpFile, err)
	}
	return nil
}
