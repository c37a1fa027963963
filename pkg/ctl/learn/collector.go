package learn

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/seccomp"
)

// Collector notes what the services of a slice do, from [Open] to Close.
type Collector struct {
	p       *probe
	links   []link.Link
	reader  *ringbuf.Reader
	names   map[int32]string // calls by number
	units   map[uint64]bool  // inodes that the unit's control group had
	paths   map[uint64]map[access]bool
	known   map[[sizeOf]byte]bool // events that came before
	full    bool                  // paths were left out
	blind   int                   // relative paths of processes that were gone
	noCaps  error
	started time.Time
}

// access is a path that a call came through with.
type access struct {
	Call, Path string
	Write      bool
	Self       bool // below /proc: about the process itself
}

// pathsMax bounds the paths noted of one unit.
const pathsMax = 1 << 14

// unitsMax bounds the units of a slice whose paths are kept until it is known which is the one.
const unitsMax = 1 << 10

// Open starts to note. slice is the directory of the control group that the unit's own, called unit, will be in.
func Open(slice, unit string) (*Collector, error) {
	c := &Collector{units: map[uint64]bool{}, paths: map[uint64]map[access]bool{}, known: map[[sizeOf]byte]bool{}, started: time.Now()}
	if c.names = seccomp.Numbers(machine()); c.names == nil {
		return nil, fmt.Errorf("architecture %s: %w", runtime.GOARCH, errors.ErrUnsupported)
	}
	ino, err := inode(slice)
	if err != nil {
		return nil, err
	}
	c.p = &probe{slice: ino, preparing: preparing()}
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/pid", &st); err != nil {
		return nil, fmt.Errorf("/proc/self/ns/pid: %w", err)
	}
	c.p.dev, c.p.ino = kernelDevice(st.Dev), st.Ino
	if err := c.load(slice, unit); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// ignore leaves out the groups beside the unit's that are there already.
func (c *Collector) ignore(slice, unit string) error {
	beside, err := os.ReadDir(slice)
	if err != nil {
		return err
	}
	for _, e := range beside {
		if !e.IsDir() || e.Name() == unit {
			continue
		}
		ino, err := inode(filepath.Join(slice, e.Name()))
		if err != nil {
			continue // gone
		}
		if err := c.p.others.Put(ino, uint64(1)); err != nil {
			return fmt.Errorf("bpf map: %w", err)
		}
	}
	return nil
}

// preparing are the names that a child of the manager has before it executes the service: the manager's own and those of the executors.
func preparing() []string {
	names := []string{"memfd:muster-executor", "muster-executor", "muster-pam", "systemd-executor"}
	if text, err := os.ReadFile("/proc/1/comm"); err == nil {
		names = append(names, strings.TrimSuffix(string(text), "\n"))
	}
	return names
}

// kernelDevice is a device number as the kernel itself keeps it, and as the helper compares it.
func kernelDevice(dev uint64) uint64 { return uint64(unix.Major(dev))<<20 | uint64(unix.Minor(dev)) }

func machine() string {
	return map[string]string{"amd64": "x86-64", "arm64": "arm64"}[runtime.GOARCH]
}

func inode(path string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	return st.Ino, nil
}

func (c *Collector) load(slice, unit string) error {
	const wordSize, rowSize, keySize = 8, 24, 16
	for _, m := range []struct {
		to                **ebpf.Map
		kind              ebpf.MapType
		key, value, count uint32
	}{
		{&c.p.seen, ebpf.Hash, keySize, wordSize, countersMax},
		{&c.p.rows, ebpf.Hash, 4, rowSize, 1024},
		{&c.p.pending, ebpf.LRUHash, wordSize, sizeOf, threadsMax},
		{&c.p.calls, ebpf.LRUHash, wordSize, wordSize, threadsMax},
		{&c.p.tmp, ebpf.PerCPUArray, 4, sizeOf, 1},
		{&c.p.others, ebpf.Hash, wordSize, wordSize, threadsMax},
		{&c.p.ring, ebpf.RingBuf, 0, 0, ringBytes},
	} {
		made, err := ebpf.NewMap(&ebpf.MapSpec{Type: m.kind, KeySize: m.key, ValueSize: m.value, MaxEntries: m.count})
		if err != nil {
			return fmt.Errorf("bpf map: %w", err)
		}
		*m.to = made
	}
	if err := c.ignore(slice, unit); err != nil {
		return err
	}
	noted := rows()
	for number, name := range c.names { // order-free: a map of the kernel's
		r, ok := noted[name]
		if !ok {
			continue
		}
		var text bytes.Buffer
		_ = binary.Write(&text, binary.NativeEndian, r)
		if err := c.p.rows.Put(uint32(number), text.Bytes()); err != nil {
			return fmt.Errorf("bpf map: %w", err)
		}
	}
	var err error
	if c.reader, err = ringbuf.NewReader(c.p.ring); err != nil {
		return fmt.Errorf("bpf ring: %w", err)
	}
	if err := c.attach("sys_exit", c.p.leave()); err != nil {
		return err
	}
	c.noCaps = c.attach("cap_capable", c.p.capable())
	return c.attach("sys_enter", c.p.enter())
}

func (c *Collector) attach(tracepoint string, code asm.Instructions) error {
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "mu_learn", Type: ebpf.RawTracepoint, License: "GPL", Instructions: code})
	if err != nil {
		return fmt.Errorf("bpf program for %s: %w", tracepoint, err)
	}
	defer prog.Close()
	l, err := link.AttachRawTracepoint(link.RawTracepointOptions{Name: tracepoint, Program: prog})
	if err != nil {
		return fmt.Errorf("tracepoint %s: %w", tracepoint, err)
	}
	c.links = append(c.links, l)
	return nil
}

// Close ends it.
func (c *Collector) Close() {
	for _, l := range c.links {
		_ = l.Close()
	}
	if c.reader != nil {
		_ = c.reader.Close()
	}
	for _, m := range []*ebpf.Map{c.p.seen, c.p.rows, c.p.pending, c.p.calls, c.p.tmp, c.p.others, c.p.ring} {
		if m != nil {
			_ = m.Close()
		}
	}
}

// Unit says that dir is the unit's control group, or was: a restart makes another.
func (c *Collector) Unit(dir string) {
	if ino, err := inode(dir); err == nil {
		c.units[ino] = true
	}
}

// Drain takes what comes within the time.
func (c *Collector) Drain(d time.Duration) error {
	deadline := time.Now().Add(d)
	c.reader.SetDeadline(deadline)
	var rec ringbuf.Record
	for {
		err := c.reader.ReadInto(&rec)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("bpf ring: %w", err)
		}
		if len(rec.RawSample) >= sizeOf {
			c.once(rec.RawSample)
		}
		if time.Now().After(deadline) {
			return nil // the rest waits
		}
	}
}

// once takes an event unless the same came before: services look at some files again and again.
func (c *Collector) once(b []byte) {
	var key [sizeOf]byte
	copy(key[:], b)
	clear(key[offExit:offExtra])
	if name := c.names[int32(binary.NativeEndian.Uint64(b[offCall:]))]; !pathCalls[name].address {
		end := offPath + max(0, bytes.IndexByte(key[offPath:], 0))
		clear(key[end:]) // what the buffer held before
		clear(key[offArgs+8*pathCalls[name].path-8 : offArgs+8*pathCalls[name].path])
	}
	if c.known[key] {
		return
	}
	if len(c.known) >= pathsMax {
		clear(c.known)
	}
	c.known[key] = true
	c.take(b)
}

// take notes the path of one call.
func (c *Collector) take(b []byte) {
	word := func(off int) uint64 { return binary.NativeEndian.Uint64(b[off:]) }
	unit, name := word(offUnit), c.names[int32(word(offCall))]
	in, ok := pathCalls[name]
	if !ok {
		return
	}
	arg := func(n int) uint64 { return word(offArgs + 8*(n-1)) }
	pid := int(binary.NativeEndian.Uint32(b[offPID+4:]))
	text := b[offPath : offPath+pathRoom]
	if in.address {
		const familyUnix = 1
		if binary.NativeEndian.Uint16(text) != familyUnix || text[2] == 0 {
			return
		}
		text = text[2:]
	}
	path, _, _ := strings.Cut(string(text), "\x00")
	if path == "" {
		return
	}
	dir := unix.AT_FDCWD
	if in.dir > 0 {
		dir = int(int32(arg(in.dir)))
	}
	full, ok := absolute(pid, dir, path)
	if !ok {
		c.blind++
		return
	}
	a := access{Call: name, Path: full, Write: in.write}
	switch {
	case in.flags > 0:
		a.Write = writes(arg(in.flags))
	case name == "openat2":
		a.Write = writes(word(offExtra))
	}
	if rest, ok := strings.CutPrefix(full, "/proc/"); ok {
		first, _, _ := strings.Cut(rest, "/")
		a.Self = first == strconv.Itoa(pid) || first == "self" || first == "thread-self"
	}
	m := c.paths[unit]
	if m == nil {
		if len(c.paths) >= unitsMax {
			c.full = true
			return
		}
		m = map[access]bool{}
		c.paths[unit] = m
	}
	if len(m) >= pathsMax {
		c.full = true
		return
	}
	m[a] = true
}

func writes(flags uint64) bool {
	return flags&(unix.O_WRONLY|unix.O_RDWR|unix.O_CREAT|unix.O_TRUNC) != 0 || flags&unix.O_TMPFILE == unix.O_TMPFILE
}

// absolute completes a path of a process. The links in /proc tell what it is relative to, as long as the process is there.
func absolute(pid, dir int, path string) (string, bool) {
	proc := "/proc/" + strconv.Itoa(pid)
	root, err := os.Readlink(proc + "/root")
	if err != nil {
		root = ""
	}
	if strings.HasPrefix(path, "/") {
		if root != "" && root != "/" {
			path = root + path
		}
		return filepath.Clean(path), true
	}
	link := proc + "/cwd"
	if dir != unix.AT_FDCWD {
		link = proc + "/fd/" + strconv.Itoa(dir)
	}
	base, err := os.Readlink(link)
	if err != nil || !strings.HasPrefix(base, "/") {
		return "", false
	}
	return filepath.Join(base, path), true
}

// Seen is what the unit did until now.
func (c *Collector) Seen() (*Observation, error) {
	o := newObservation(time.Since(c.started))
	o.Blind, o.Full, o.NoCapabilities = c.blind, c.full, c.noCaps
	var key [16]byte
	var count uint64
	it := c.p.seen.Iterate()
	for it.Next(&key, &count) {
		if !c.units[binary.NativeEndian.Uint64(key[:])] {
			continue
		}
		number, arg := binary.NativeEndian.Uint32(key[8:]), binary.NativeEndian.Uint32(key[12:])
		switch {
		case number == keyLost:
			o.Lost += count
		case number >= keyCapability:
			o.capability(int(number-keyCapability), c.names[int32(arg)])
		default:
			if name := c.names[int32(number)]; name != "" {
				o.call(name, arg, count)
			} else {
				o.Unknown++
			}
		}
	}
	if err := it.Err(); err != nil {
		return nil, fmt.Errorf("bpf map: %w", err)
	}
	for unit := range c.units {
		for a := range c.paths[unit] {
			o.path(a)
		}
	}
	return o, nil
}
