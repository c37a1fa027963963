package kernel

import (
	"bytes"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// Mount is one line of /proc/self/mountinfo; proc_pid_mountinfo(5).
type Mount struct {
	ID, Parent   int
	Major, Minor uint32
	Root         string // of the mount within its file system
	Point        string // as seen from our root; "//deleted" at the end if it was unlinked
	Options      string // of the mount
	Optional     string // shared:N, master:N, … separated by blanks
	Type         string // file system type
	Source       string
	SuperOptions string // of the file system
}

// A MountTable reads the mount table of our mount namespace. Its descriptor
// gets EPOLLPRI (with EPOLLERR) when the table changed.
type MountTable struct{ table }

// A SwapTable reads /proc/swaps; EPOLLPRI as with [MountTable].
type SwapTable struct{ table }

type table struct {
	fd   int
	path string
	buf  []byte
}

func openTable(path string) (table, error) {
	fd, err := openRetry(path, unix.O_RDONLY|unix.O_CLOEXEC)
	if err != nil {
		return table{}, fmt.Errorf("%s: %w", path, err)
	}
	return table{fd: fd, path: path}, nil
}

// FD is the descriptor to watch.
func (t *table) FD() int { return t.fd }

// Close closes the table.
func (t *table) Close() error { return unix.Close(t.fd) }

// read reads the whole table again; the bytes are valid until the next read.
// The kernel renders it in pieces of a page or more, and a change between two
// pieces may show a line twice or not at all; it also raises EPOLLPRI again.
func (t *table) read() ([]byte, error) {
	if t.buf == nil {
		t.buf = make([]byte, 64<<10)
	}
	n := 0
	for {
		if n == len(t.buf) {
			if n >= tableMax {
				return nil, fmt.Errorf("%s: %w", t.path, unix.EFBIG)
			}
			t.buf = append(t.buf, make([]byte, len(t.buf))...)
		}
		c, err := unix.Pread(t.fd, t.buf[n:], int64(n))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.path, err)
		}
		if c == 0 {
			return t.buf[:n], nil
		}
		n += c
	}
}

// OpenMountTable opens the table of the calling thread's mount namespace.
func OpenMountTable() (*MountTable, error) {
	t, err := openTable("/proc/thread-self/mountinfo")
	return &MountTable{t}, err
}

// Read returns all mounts in the kernel's order: a mount comes after what it
// was mounted on.
func (t *MountTable) Read() ([]Mount, error) {
	b, err := t.read()
	if err != nil {
		return nil, err
	}
	return ParseMountInfo(b)
}

// Raw returns the table as the kernel writes it; the bytes are valid until the next reading.
func (t *MountTable) Raw() ([]byte, error) { return t.read() }

// ParseMountInfo reads the format of mountinfo. Lines that are none are left
// out and the first of them is the error; the rest is still returned.
func ParseMountInfo(b []byte) ([]Mount, error) {
	list := make([]Mount, 0, bytes.Count(b, []byte{'\n'}))
	var bad error
	in := interner{}
	for line := range bytes.Lines(b) {
		m, ok := parseMount(bytes.TrimSuffix(line, []byte{'\n'}), in)
		if ok {
			list = append(list, m)
		} else if bad == nil {
			bad = fmt.Errorf("mountinfo: %w: %.80q", unix.EBADMSG, line)
		}
	}
	return list, bad
}

func parseMount(line []byte, in interner) (m Mount, ok bool) {
	next := func() []byte {
		f, rest, _ := bytes.Cut(line, []byte{' '})
		line = rest
		return f
	}
	id, err1 := strconv.Atoi(string(next()))
	parent, err2 := strconv.Atoi(string(next()))
	major, minor, colon := bytes.Cut(next(), []byte{':'})
	maj, err3 := strconv.ParseUint(string(major), 10, 32)
	mnr, err4 := strconv.ParseUint(string(minor), 10, 32)
	if err1 != nil || err2 != nil || err3 != nil || err4 != nil || !colon {
		return Mount{}, false
	}
	m = Mount{ID: id, Parent: parent, Major: uint32(maj), Minor: uint32(mnr)}
	m.Root, m.Point, m.Options = in.unescape(next()), in.unescape(next()), in.unescape(next())
	// Optional fields end with a lone dash.
	optional, used := line, 0
	for {
		if len(line) == 0 {
			return Mount{}, false
		}
		f := next()
		if len(f) == 1 && f[0] == '-' {
			break
		}
		used += len(f) + 1
	}
	m.Optional = in.string(optional[:max(used-1, 0)])
	m.Type, m.Source, m.SuperOptions = in.unescape(next()), in.unescape(next()), in.unescape(next())
	return m, m.Point != "" && m.Type != ""
}

// interner keeps one copy of strings that occur again and again in a table.
type interner map[string]string

func (in interner) string(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if s, ok := in[string(b)]; ok {
		return s
	}
	s := string(b)
	in[s] = s
	return s
}

func (in interner) unescape(b []byte) string {
	if bytes.IndexByte(b, '\\') < 0 {
		return in.string(b)
	}
	return in.string(unescapeOctal(b))
}

// unescapeOctal undoes the kernel's \ooo of blanks, tabs, newlines and
// backslashes; what is no escape stays as it is.
func unescapeOctal(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] == '\\' && i+3 < len(b) {
			if v, err := strconv.ParseUint(string(b[i+1:i+4]), 8, 8); err == nil {
				out = append(out, byte(v))
				i += 3
				continue
			}
		}
		out = append(out, b[i])
	}
	return out
}

// Swap is one line of /proc/swaps.
type Swap struct {
	File      string // path; " (deleted)" cut off
	Type      string // partition or file
	SizeBytes uint64
	UsedBytes uint64
	Priority  int
	Deleted   bool
}

// OpenSwapTable opens /proc/swaps.
func OpenSwapTable() (*SwapTable, error) {
	t, err := openTable("/proc/swaps")
	return &SwapTable{t}, err
}

// Read returns all active swaps.
func (t *SwapTable) Read() ([]Swap, error) {
	b, err := t.read()
	if err != nil {
		return nil, err
	}
	return ParseSwaps(b)
}

// ParseSwaps reads the format of /proc/swaps, its header left out.
func ParseSwaps(b []byte) ([]Swap, error) {
	var list []Swap
	var bad error
	header := true
	for line := range bytes.Lines(b) {
		if header {
			header = false
			continue
		}
		f := bytes.Fields(line)
		if len(f) != 5 {
			bad = fmt.Errorf("swaps: %w: %.80q", unix.EBADMSG, line)
			continue
		}
		size, err1 := strconv.ParseUint(string(f[2]), 10, 54)
		used, err2 := strconv.ParseUint(string(f[3]), 10, 54)
		prio, err3 := strconv.Atoi(string(f[4]))
		if err1 != nil || err2 != nil || err3 != nil {
			bad = fmt.Errorf("swaps: %w: %.80q", unix.EBADMSG, line)
			continue
		}
		name, deleted := bytes.CutSuffix(unescapeOctal(f[0]), []byte(" (deleted)"))
		list = append(list, Swap{
			File: string(name), Type: string(f[1]), SizeBytes: size << 10, UsedBytes: used << 10, Priority: prio, Deleted: deleted,
		})
	}
	return list, bad
}
